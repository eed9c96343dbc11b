"""Traits of the deploy stage's component."""

from tiffin.stages.traits import SERVING, Traits

COMPONENTS = {"deploy_model": Traits("model", needs=(SERVING,))}
