"""Settings: which drivers, in which order, with which options, and why.

From strongest to weakest: arguments, the environment, a TOML file, the names that WhisperEngine uses, defaults.
"""

from whisper_persistence.settings.loading import choose_settings, load_settings
from whisper_persistence.settings.model import Settings
from whisper_persistence.settings.policies import Rule, StoragePolicies

__all__ = ["Rule", "Settings", "StoragePolicies", "choose_settings", "load_settings"]
