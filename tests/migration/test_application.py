"""pgqueue installed from a revision of the application's own Alembic, in the application's transaction."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config

ENV = """
from alembic import context
from sqlalchemy import create_engine

with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
"""

REVISION = """
from alembic import context, op

from pgqueue import schema

revision = "app1"
down_revision = None


def upgrade() -> None:
    op.execute("create table before (id int)")
    schema.upgrade(op.get_bind())
    op.execute("create table after (id int)")
    assert context.config.get_main_option("sqlalchemy.url")


def downgrade() -> None:
    op.execute("drop table after")
    schema.downgrade(op.get_bind())
    op.execute("drop table before")
"""


@pytest.fixture
def application(tmp_path: Path, empty_database: str) -> Config:
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENV)
    (tmp_path / "versions" / "app1_first.py").write_text(REVISION)
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    config.set_main_option("sqlalchemy.url", empty_database.replace("postgresql://", "postgresql+psycopg://"))
    return config


def test_from_a_revision_of_the_application(application: Config, empty_database: str) -> None:
    def found() -> list[object]:
        with psycopg.connect(empty_database) as connection:
            return [
                connection.execute("select to_regclass(%s) is not null", [name]).fetchone()
                for name in ("before", "after", "pgqueue.job")
            ]

    for _ in range(2):
        command.upgrade(application, "head")
        assert found() == [(True,)] * 3
        command.downgrade(application, "base")
        assert found() == [(False,)] * 3
