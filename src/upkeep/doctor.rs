//! What has to hold in every database, recounted from the rows.

use sea_orm::{DbBackend, FromQueryResult, Statement};

use crate::kernel::db::Db;
use crate::kernel::error::Result;
use crate::portals::erasure;

/// What does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What, in words.
    pub what: &'static str,
    /// In which portal.
    pub hub_id: i64,
    /// How many rows.
    pub count: usize,
}

#[derive(FromQueryResult)]
struct Row {
    hub_id: i64,
}

/// Each of these finds a row where something does not add up.
const CHECKS: &[(&str, &str)] = &[
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
         c.resyncing_error_count <> (SELECT COUNT(*) FROM sync_errors e WHERE e.hub_id = c.hub_id AND e.category = c.category AND e.status = 1) OR \
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
         ON e.hub_id = h.hub_id GROUP BY h.hub_id, h.sequence, h.swept_sequence HAVING COUNT(DISTINCT e.sequence) <> h.sequence - h.swept_sequence \
         OR COUNT(e.sequence) <> h.sequence - h.swept_sequence OR COALESCE(MAX(e.sequence), h.swept_sequence) <> h.sequence",
    ),
    (
        "an error that a search does not find, or by what it does not say",
        "SELECT e.hub_id FROM sync_errors e LEFT JOIN search_texts t ON t.hub_id = e.hub_id AND t.error_id = e.id \
         WHERE (t.search_text IS NULL OR t.search_text <> e.search_text) \
         AND NOT EXISTS (SELECT 1 FROM search_changes c WHERE c.hub_id = e.hub_id AND c.error_id = e.id)",
    ),
    (
        "a text to search in whose error is gone",
        "SELECT t.hub_id FROM search_texts t LEFT JOIN sync_errors e ON e.hub_id = t.hub_id AND e.id = t.error_id WHERE e.hub_id IS NULL \
         AND NOT EXISTS (SELECT 1 FROM search_changes c WHERE c.hub_id = t.hub_id AND c.error_id = t.error_id)",
    ),
    (
        "open errors of a portal that differ from its cards",
        "SELECT h.hub_id FROM feed_heads h WHERE h.open_error_count <> \
         (SELECT COUNT(*) FROM sync_errors e WHERE e.hub_id = h.hub_id AND e.status < 2)",
    ),
    (
        "a resync batch whose counts are not those of its results",
        "SELECT b.hub_id FROM resync_batches b LEFT JOIN resync_results r ON r.hub_id = b.hub_id AND r.batch_id = b.id WHERE b.id <> {nil} \
         GROUP BY b.hub_id, b.id, b.waiting_count, b.unreached_record_count, b.claimed_count, b.succeeded_count, b.failed_count, b.error_count, b.unreached_error_count \
         HAVING COALESCE(SUM(r.waiting_count), 0) <> b.waiting_count - b.unreached_record_count OR COALESCE(SUM(r.claimed_count), 0) <> b.claimed_count \
         OR COALESCE(SUM(r.succeeded_count), 0) <> b.succeeded_count OR COALESCE(SUM(r.failed_count), 0) <> b.failed_count \
         OR (COUNT(r.error_id) <> b.error_count - b.unreached_error_count AND b.cancelled_count = 0)",
    ),
    (
        "a resync result whose open counts are not those of its items",
        "SELECT r.hub_id FROM resync_results r WHERE r.claimed_count <> (SELECT COUNT(*) FROM resync_items i WHERE i.hub_id = r.hub_id \
         AND i.batch_id = r.batch_id AND i.error_id = r.error_id AND i.settled_at IS NULL AND i.lease_expires_at IS NOT NULL) \
         OR r.waiting_count - r.untaken_count <> (SELECT COUNT(*) FROM resync_items i WHERE i.hub_id = r.hub_id \
         AND i.batch_id = r.batch_id AND i.error_id = r.error_id AND i.settled_at IS NULL AND i.lease_expires_at IS NULL) \
         OR r.untaken_count < 0 OR (r.finished_at IS NULL) <> (r.waiting_count + r.claimed_count > 0)",
    ),
    (
        "a resync batch that ended too early or not at all",
        "SELECT hub_id FROM resync_batches WHERE id <> {nil} AND (finished_at IS NULL) <> (waiting_count + claimed_count > 0)",
    ),
    (
        "an error that is RESYNCING without a resync",
        "SELECT e.hub_id FROM sync_errors e WHERE e.status = 1 AND NOT EXISTS (SELECT 1 FROM resync_results r WHERE r.hub_id = e.hub_id \
         AND r.error_id = e.id AND r.batch_id <> {nil} AND r.finished_at IS NULL)",
    ),
    (
        "a trend that does not end where the cards are",
        "SELECT c.hub_id FROM category_counters c JOIN trend_points t ON t.hub_id = c.hub_id AND t.category = c.category \
         WHERE t.minute = (SELECT MAX(minute) FROM trend_points l WHERE l.hub_id = c.hub_id AND l.category = c.category) \
         AND (t.open_error_count <> c.open_error_count OR t.affected_record_count <> c.affected_record_count)",
    ),
    (
        "rows without a portal",
        "SELECT e.hub_id FROM sync_errors e LEFT JOIN feed_heads h ON h.hub_id = e.hub_id WHERE h.hub_id IS NULL \
         UNION SELECT r.hub_id FROM affected_records r LEFT JOIN sync_errors e ON e.hub_id = r.hub_id AND e.id = r.error_id WHERE e.hub_id IS NULL",
    ),
];

/// Recounts everything; finds nothing in a database that is sound. All checks see one snapshot, which changes that go on
/// beside do not disturb.
pub async fn examine(db: &Db) -> Result<Vec<Finding>> {
    let snapshot = db.snapshot();
    let nil = match snapshot.backend() {
        DbBackend::Postgres => "'00000000-0000-0000-0000-000000000000'",
        _ => "x'00000000000000000000000000000000'",
    };
    let mut findings: Vec<Finding> = Vec::new();
    let erased = erasure::all(&snapshot).await?;
    for (what, sql) in CHECKS {
        let statement = Statement::from_string(snapshot.backend(), sql.replace("{nil}", nil));
        let found: Vec<Row> = snapshot.all_raw(statement).await?;
        // What is left of a portal that is being erased adds up to nothing.
        for Row { hub_id } in found
            .into_iter()
            .filter(|row| !erased.contains(&row.hub_id))
        {
            let known = findings
                .iter_mut()
                .find(|known| known.what == *what && known.hub_id == hub_id);
            match known {
                Some(known) => known.count += 1,
                None => findings.push(Finding {
                    what,
                    hub_id,
                    count: 1,
                }),
            }
        }
    }
    Ok(findings)
}
