"""What an operator runs: importing, copying, reports, and looking at what is kept about one user."""

from whisper_persistence.operations.checkpoints import Checkpoint
from whisper_persistence.operations.comparing import Comparison, Report
from whisper_persistence.operations.copying import copy_store
from whisper_persistence.operations.frames import to_arrow, to_pandas, to_polars
from whisper_persistence.operations.places import checkpoint_path, find_places, name_copy
from whisper_persistence.operations.profile import Profile, load_profile
from whisper_persistence.operations.report import MINIMUM_GROUP, Band, UsageReport, load_report
from whisper_persistence.operations.report_tables import Section, sections
from whisper_persistence.operations.transfer import Batch, import_file
from whisper_persistence.operations.whisperengine import import_whisperengine
from whisper_persistence.operations.whisperengine_rows import TableReport

__all__ = [
    "MINIMUM_GROUP",
    "Band",
    "Batch",
    "Checkpoint",
    "Comparison",
    "Profile",
    "Report",
    "Section",
    "TableReport",
    "UsageReport",
    "checkpoint_path",
    "copy_store",
    "find_places",
    "import_file",
    "import_whisperengine",
    "load_profile",
    "load_report",
    "name_copy",
    "sections",
    "to_arrow",
    "to_pandas",
    "to_polars",
]
