//! What has to hold in every database, whatever a test did.

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

/// Each of these finds a row where something does not add up.
const BROKEN: &[(&str, &str)] = &[
    (
        "an error whose affected records are not those of its rows",
        "SELECT e.hub_id FROM sync_errors e WHERE e.affected_record_count <> (SELECT COUNT(*) FROM affected_records r \
         WHERE r.hub_id = e.hub_id AND r.error_id = e.id AND r.cleared_at IS NULL)",
    ),
    (
        "an error whose status does not follow from its records",
        "SELECT hub_id FROM sync_errors WHERE (status = 2) <> (affected_record_count = 0) OR (status = 2) <> (resolved_at IS NOT NULL)",
    ),
    (
        "a counter that differs from a recount",
        "SELECT c.hub_id FROM category_counters c WHERE \
         c.open_error_count <> (SELECT COUNT(*) FROM sync_errors e WHERE e.hub_id = c.hub_id AND e.category = c.category AND e.status < 2) OR \
         c.resolved_error_count <> (SELECT COUNT(*) FROM sync_errors e WHERE e.hub_id = c.hub_id AND e.category = c.category AND e.status = 2) OR \
         c.affected_record_count <> (SELECT COALESCE(SUM(e.affected_record_count), 0) FROM sync_errors e WHERE e.hub_id = c.hub_id AND e.category = c.category)",
    ),
    (
        "an error without a counter",
        "SELECT e.hub_id FROM sync_errors e LEFT JOIN category_counters c ON c.hub_id = e.hub_id AND c.category = e.category WHERE c.hub_id IS NULL",
    ),
    (
        "a feed with a gap, or a head that is not its end",
        "SELECT h.hub_id FROM feed_heads h LEFT JOIN (SELECT hub_id, sequence FROM sync_error_events UNION ALL SELECT hub_id, sequence FROM portal_events) e \
         ON e.hub_id = h.hub_id GROUP BY h.hub_id, h.sequence HAVING COUNT(DISTINCT e.sequence) <> h.sequence OR COUNT(e.sequence) <> h.sequence OR COALESCE(MAX(e.sequence), 0) <> h.sequence",
    ),
    (
        "open errors of a portal that differ from its cards",
        "SELECT h.hub_id FROM feed_heads h WHERE h.open_error_count <> \
         (SELECT COUNT(*) FROM sync_errors e WHERE e.hub_id = h.hub_id AND e.status < 2)",
    ),
    (
        "a trend that does not end where the cards are",
        "SELECT c.hub_id FROM category_counters c JOIN trend_points t ON t.hub_id = c.hub_id AND t.category = c.category \
         WHERE t.minute = (SELECT MAX(minute) FROM trend_points l WHERE l.hub_id = c.hub_id AND l.category = c.category) \
         AND (t.open_error_count <> c.open_error_count OR t.affected_record_count <> c.affected_record_count)",
    ),
];

pub async fn check(db: &DatabaseConnection) {
    for (what, sql) in BROKEN {
        let rows = db
            .query_all_raw(Statement::from_string(db.get_database_backend(), *sql))
            .await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(rows.is_empty(), "{} rows with {what}", rows.len());
    }
}
