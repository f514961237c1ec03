"""The starting policy: a small language model that has learnt to use the world's tools.

Nothing here is imported by `import assay`; it needs the extra [train]. `load` opens a policy,
`sampling.sample` continues text with exact ids and log-probs, `measuring.measure` plays tasks.
"""
