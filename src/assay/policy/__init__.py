"""The starting policy: a small language model that has learnt to use the world's tools.

Nothing here is imported by `import assay`; it needs the extra [train]. `loading.load` opens a
policy, `sampling.sample` continues text with exact ids and log-probs.
"""
