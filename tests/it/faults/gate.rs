//! What PostgreSQL does when a portal's head is written, the first statement of each change: waits, or refuses.

use crate::harness::eventually;
use crate::harness::outsider::Outsider;

/// Changes that wait in the database, inside their transactions.
pub struct Gate {
    outsider: Outsider,
}

/// Any number that nothing else locks.
const LOCK: i64 = 4712;

async fn install(outsider: &Outsider, hub_id: i64, action: &str) {
    outsider
        .run(&format!(
            "CREATE SEQUENCE IF NOT EXISTS made_by_a_test;
            SELECT setval('made_by_a_test', 1, false);
            CREATE OR REPLACE FUNCTION made_by_a_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.hub_id = {hub_id} THEN {action} END IF;
                RETURN NEW;
            END $$;
            CREATE OR REPLACE TRIGGER made_by_a_test BEFORE INSERT OR UPDATE ON feed_heads FOR EACH ROW EXECUTE FUNCTION made_by_a_test()"
        ))
        .await;
}

impl Gate {
    /// The next change of the portal waits.
    pub async fn shut(database_url: &str, hub_id: i64) -> Self {
        let outsider = Outsider::at(database_url).await;
        outsider
            .run(&format!("SELECT pg_advisory_lock({LOCK})"))
            .await;
        let action = format!(
            "IF nextval('made_by_a_test') = 1 THEN PERFORM pg_advisory_xact_lock_shared({LOCK}); END IF;"
        );
        install(&outsider, hub_id, &action).await;
        Self { outsider }
    }

    /// A change has come and waits.
    pub async fn has_caught(&self) {
        let waiting = "SELECT count(*) AS number FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        eventually("a change inside its transaction", async || {
            (self.outsider.number(waiting).await > 0).then_some(())
        })
        .await;
    }

    /// It goes on, as far as the database is concerned.
    pub async fn open(self) {
        self.outsider.close().await;
    }
}

/// The next changes of the portal are refused with an error's code.
pub async fn refuse(outsider: &Outsider, hub_id: i64, code: &str, times: u32) {
    let action = format!(
        "IF nextval('made_by_a_test') <= {times} THEN RAISE EXCEPTION 'made by a test' USING ERRCODE = '{code}'; END IF;"
    );
    install(outsider, hub_id, &action).await;
}

/// Nothing at all can be written any more, for the reason with this code.
pub async fn refuse_all(outsider: &Outsider, code: &str) {
    outsider
        .run(&format!(
            "CREATE OR REPLACE FUNCTION made_by_a_test_too() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE EXCEPTION 'made by a test' USING ERRCODE = '{code}';
            END $$;
            DO $$ DECLARE of_all text; BEGIN
                FOR of_all IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
                    EXECUTE format('CREATE TRIGGER made_by_a_test_too BEFORE INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION made_by_a_test_too()', of_all);
                END LOOP;
            END $$"
        ))
        .await;
}

/// Changes are no longer refused.
pub async fn refuse_no_more(outsider: &Outsider) {
    outsider
        .run("DROP FUNCTION IF EXISTS made_by_a_test, made_by_a_test_too CASCADE")
        .await;
}

/// How often the portal was about to be changed, as far as that was refused or waited for.
pub async fn count(outsider: &Outsider) -> i64 {
    outsider
        .number(
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS number FROM made_by_a_test",
        )
        .await
}
