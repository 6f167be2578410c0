"""${message}"""

from pgqueue._migrate import run_frozen

revision = "${up_revision}"
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    run_frozen(__file__, ".sql")


def downgrade() -> None:
    run_frozen(__file__, ".down.sql")
