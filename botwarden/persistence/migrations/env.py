"""Alembic's entry: runs the steps on the connection that `persistence.migrate` hands over."""

from typing import Any

from alembic import context

from botwarden.persistence import tables


def _applied(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:  # noqa: ARG001 - called by name
    report = context.config.attributes.get("report")
    if report is not None:
        report(f"{step.up_revision_id}: {step.up_revision.doc}")


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.installation.metadata,
    on_version_apply=_applied,
    transaction_per_migration=False,
)
context.run_migrations()
