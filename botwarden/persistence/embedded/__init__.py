"""Real PostgreSQL and Valkey servers from wheels, for `up`, development and tests.

`EmbeddedServers.start` is the way in. The servers live exactly as long as the process that started them.
"""

from botwarden.persistence.embedded.failures import DataDirBusy, EmbeddedFailure
from botwarden.persistence.embedded.leash import Service
from botwarden.persistence.embedded.places import claim_data_dir, default_data_dir, read_run_file
from botwarden.persistence.embedded.servers import EmbeddedServers

__all__ = [
    "DataDirBusy",
    "EmbeddedFailure",
    "EmbeddedServers",
    "Service",
    "claim_data_dir",
    "default_data_dir",
    "read_run_file",
]
