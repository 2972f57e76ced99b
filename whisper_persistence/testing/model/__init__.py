"""A naive reference: what every driver must answer, in plain dicts and the records' own folds.

It is slow, keeps everything in one process and knows no driver; the state machine compares drivers with it.
"""

from whisper_persistence.testing.model.driver import ModelDriver
from whisper_persistence.testing.model.space import Space

__all__ = ["ModelDriver", "Space"]
