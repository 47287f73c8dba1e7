//! Where servers try whether they can write.

use sea_orm_migration::prelude::*;

migration! {
    /// The table of the probe.
}

const UP: &str = "
CREATE TABLE write_probes (
    id SMALLINT NOT NULL PRIMARY KEY,
    written_at BIGINT NOT NULL
) ROOMY;
";

const DOWN: &str = "
DROP TABLE write_probes;
";
