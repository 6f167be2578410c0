"""The whole schema"""

from pgqueue._migrate import run_frozen

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_frozen(__file__, ".sql")


def downgrade() -> None:
    run_frozen(__file__, ".down.sql")
