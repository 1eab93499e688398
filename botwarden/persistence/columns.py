"""What the tables' columns and constraints are made of: naming, times, bounds of amounts."""

from sqlalchemy import CheckConstraint, Column, DateTime, MetaData, func

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def time(name: str, *, nullable: bool = False) -> Column[object]:
    """Return a column of moments; by default the time of the transaction."""
    return Column(
        name, DateTime(timezone=True), nullable=nullable, server_default=None if nullable else func.now()
    )


def finite(name: str) -> CheckConstraint:
    """Refuse NaN and infinities."""
    return CheckConstraint(f"{name} <> 'NaN' AND abs({name}) < 'Infinity'", name=f"{name}_finite")


def not_negative(name: str) -> CheckConstraint:
    """Refuse NaN, infinities and what is below zero."""
    return CheckConstraint(f"{name} >= 0 AND {name} < 'Infinity'", name=f"{name}_not_negative")


def positive(name: str) -> CheckConstraint:
    """Refuse NaN, infinities and what is not above zero."""
    return CheckConstraint(f"{name} > 0 AND {name} < 'Infinity'", name=f"{name}_positive")
