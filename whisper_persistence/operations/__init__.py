"""What an operator runs: importing, exporting, copying, erasing, expiring, backing up, and reports."""

from whisper_persistence.operations.archives import import_archive
from whisper_persistence.operations.backups import Backup, back_up, inspect_schemas, restore
from whisper_persistence.operations.chains import remove_chains, verify_chains
from whisper_persistence.operations.checkpoints import Checkpoint
from whisper_persistence.operations.comparing import Comparison
from whisper_persistence.operations.copying import copy_store
from whisper_persistence.operations.doctor import Diagnosis, diagnose
from whisper_persistence.operations.erasure import ErasureReceipt, erase_again, erase_users
from whisper_persistence.operations.erasure_check import TierCheck
from whisper_persistence.operations.exporting import export_archive
from whisper_persistence.operations.frames import to_arrow, to_pandas, to_polars
from whisper_persistence.operations.importing import import_file, import_messages
from whisper_persistence.operations.manifest import Archive, Manifest, is_archive
from whisper_persistence.operations.new_driver import write_driver
from whisper_persistence.operations.places import checkpoint_path, find_places, name_copy
from whisper_persistence.operations.profile import Profile, load_profile
from whisper_persistence.operations.provenance import (
    RollbackReport,
    SourceCount,
    SourceQuery,
    find_messages,
    list_sources,
    roll_back,
)
from whisper_persistence.operations.reading import Report
from whisper_persistence.operations.report import MINIMUM_GROUP, Band, UsageReport, load_report
from whisper_persistence.operations.report_tables import Section, sections
from whisper_persistence.operations.retention import RetentionReport, RetentionTask, apply_retention
from whisper_persistence.operations.transfer import Batch
from whisper_persistence.operations.unreadable import ReadingReport, Unreadable, find_unreadable
from whisper_persistence.operations.whisperengine import import_whisperengine
from whisper_persistence.operations.whisperengine_rows import TableReport

__all__ = [
    "MINIMUM_GROUP",
    "Archive",
    "Backup",
    "Band",
    "Batch",
    "Checkpoint",
    "Comparison",
    "Diagnosis",
    "ErasureReceipt",
    "Manifest",
    "Profile",
    "ReadingReport",
    "Report",
    "RetentionReport",
    "RetentionTask",
    "RollbackReport",
    "Section",
    "SourceCount",
    "SourceQuery",
    "TableReport",
    "TierCheck",
    "Unreadable",
    "UsageReport",
    "apply_retention",
    "back_up",
    "checkpoint_path",
    "copy_store",
    "diagnose",
    "erase_again",
    "erase_users",
    "export_archive",
    "find_messages",
    "find_places",
    "find_unreadable",
    "import_archive",
    "import_file",
    "import_messages",
    "import_whisperengine",
    "inspect_schemas",
    "is_archive",
    "list_sources",
    "load_profile",
    "load_report",
    "name_copy",
    "remove_chains",
    "restore",
    "roll_back",
    "sections",
    "to_arrow",
    "to_pandas",
    "to_polars",
    "verify_chains",
    "write_driver",
]
