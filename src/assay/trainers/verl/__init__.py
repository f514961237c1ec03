"""verl's trainer with our advantages, through verl's own entry point for plug-ins.

    python -m verl.trainer.main_ppo ... algorithm.adv_estimator=assay +assay.recipe=assay

Importing this loads nothing. `plugin` is what verl loads, in every process that imports verl.
"""
