import "./production.mjs";
import Fastify from "fastify";
import mercurius from "mercurius";
import pg from "pg";

// In the order of the stored numbers: a category's types count from ten times its own number.
const TYPES = {
  ASSOCIATIONS: ["WAITING_FOR_RECORD", "ASSOCIATION_LIMIT_REACHED", "ASSOCIATION_INVALID"],
  CUSTOM_CODE: ["VALIDATION_RULE", "FLOW", "APEX", "APPROVAL_LOCK", "LOOKUP_FILTER", "CUSTOM_CODE"],
  DUPLICATES: ["VALUE_ALREADY_IN_USE", "SALESFORCE_DUPLICATE_RULE", "DUPLICATE"],
  PERMISSIONS: ["FIELD_PERMISSION", "OBJECT_PERMISSION", "RECORD_ACCESS", "API_ACCESS", "PERMISSION"],
  PICKLISTS: ["PICKLIST_VALUE_NOT_ALLOWED", "PICKLIST_LIMIT_REACHED", "PICKLIST"],
  PROPERTY_MAPPINGS: [
    "INCOMPATIBLE_TYPES",
    "FIELD_NOT_FOUND",
    "FIELD_READ_ONLY",
    "REFERENCE_MAPPING_MISSING",
    "OBJECT_NOT_SUPPORTED",
    "PROPERTY_MAPPING",
  ],
  PROPERTY_VALUES: [
    "VALUE_TOO_LONG",
    "REQUIRED_VALUE_MISSING",
    "INVALID_EMAIL",
    "VALUE_OUT_OF_RANGE",
    "INVALID_FORMAT",
    "INACTIVE_OWNER",
    "INVALID_VALUE",
  ],
  OTHER: ["ROW_LOCKED", "LIMIT_EXCEEDED", "PROVIDER_UNAVAILABLE", "PROVIDER_TIMEOUT", "SESSION_INVALID", "UNKNOWN"],
};
const CATEGORIES = Object.keys(TYPES);

const schema = `
  scalar DateTime
  enum SyncErrorCategory { ${CATEGORIES.join(" ")} }
  enum SyncErrorType { ${Object.values(TYPES).flat().join(" ")} }
  enum SyncErrorStatus { OPEN RESOLVED }

  type Query {
    portal(hubId: ID!): Portal
  }
  type Portal {
    syncErrors(first: Int! = 50): SyncErrorConnection!
  }
  type SyncErrorConnection {
    nodes: [SyncError!]!
  }
  type SyncError {
    id: ID!
    category: SyncErrorCategory!
    type: SyncErrorType!
    status: SyncErrorStatus!
    code: String
    message: String!
    transient: Boolean!
    firstSeenAt: DateTime!
    lastSeenAt: DateTime!
    occurrenceCount: Int!
    affectedRecordCount: Int!
    hubspotObjectType: String
    salesforceObjectType: String
    affectedRecords(first: Int! = 50): AffectedRecordConnection!
  }
  type AffectedRecordConnection {
    nodes: [AffectedRecord!]!
  }
  type AffectedRecord {
    id: ID!
    message: String!
    hubspotRecord: RecordRef
    salesforceRecord: RecordRef
    firstSeenAt: DateTime!
    lastSeenAt: DateTime!
    attemptCount: Int!
  }
  type RecordRef {
    recordId: ID
    name: String
  }
`;

// One more than the page holds, as a server with pageInfo reads it.
const ERRORS = `
  SELECT hub_id, id AS key, category, error_type, status, code, message, transient,
    first_seen_at AS "firstSeenAt", last_seen_at AS "lastSeenAt", occurrence_count AS "occurrenceCount",
    affected_record_count AS "affectedRecordCount", hubspot_object_type AS "hubspotObjectType",
    salesforce_object_type AS "salesforceObjectType"
  FROM sync_errors
  WHERE hub_id = $1 AND status < 2
  ORDER BY last_seen_at DESC, id DESC
  LIMIT $2::bigint + 1`;

const RECORDS = `
  SELECT records.*
  FROM UNNEST($1::uuid[]) AS errors (id) CROSS JOIN LATERAL (
    SELECT hub_id, error_id, id AS key, message, hubspot_record_id, hubspot_name, salesforce_record_id, salesforce_name,
      first_seen_at AS "firstSeenAt", last_seen_at AS "lastSeenAt", attempt_count AS "attemptCount"
    FROM affected_records
    WHERE hub_id = $2 AND error_id = errors.id AND cleared_at IS NULL
    ORDER BY id
    LIMIT $3::bigint + 1) AS records`;

// Names make prepared statements; a time in microseconds is exact as a number.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 8 });
const read = async (name, text, values) => (await pool.query({ name, text, values })).rows;

function globalId(kind, hubId, ...keys) {
  const bytes = Buffer.alloc(10 + 16 * keys.length);
  bytes[0] = 1;
  bytes[1] = kind;
  bytes.writeBigInt64BE(BigInt(hubId), 2);
  keys.forEach((key, i) => bytes.write(key.replaceAll("-", ""), 10 + 16 * i, "hex"));
  return bytes.toString("base64url");
}

function instant(micros) {
  const text = new Date(Math.floor(micros / 1000)).toISOString();
  if (micros % 1000) return `${text.slice(0, -1)}${String(micros % 1000).padStart(3, "0")}Z`;
  return micros % 1_000_000 ? text : `${text.slice(0, -5)}Z`;
}

const reference = (recordId, name) => (recordId === null && name === null ? null : { recordId, name });

const resolvers = {
  DateTime: { serialize: instant },
  Query: { portal: (_, { hubId }) => ({ hubId }) },
  Portal: {
    async syncErrors({ hubId }, { first }) {
      const rows = await read("errors", ERRORS, [hubId, first]);
      return { nodes: rows.slice(0, first) };
    },
  },
  SyncError: {
    id: (row) => globalId(3, row.hub_id, row.key),
    category: (row) => CATEGORIES[row.category],
    type: (row) => TYPES[CATEGORIES[row.category]][row.error_type % 10],
    status: (row) => (row.status < 2 ? "OPEN" : "RESOLVED"),
  },
  AffectedRecord: {
    id: (row) => globalId(4, row.hub_id, row.error_id, row.key),
    hubspotRecord: (row) => reference(row.hubspot_record_id, row.hubspot_name),
    salesforceRecord: (row) => reference(row.salesforce_record_id, row.salesforce_name),
  },
};

const loaders = {
  SyncError: {
    async affectedRecords(queries) {
      const { hub_id } = queries[0].obj;
      const most = Math.max(...queries.map(({ params }) => params.first));
      const records = new Map(queries.map(({ obj }) => [obj.key, []]));
      for (const row of await read("records", RECORDS, [[...records.keys()], hub_id, most])) {
        records.get(row.error_id).push(row);
      }
      return queries.map(({ obj, params }) => ({ nodes: records.get(obj.key).slice(0, params.first) }));
    },
  },
};

const app = Fastify();
app.register(mercurius, { schema, resolvers, loaders, jit: 1 });
await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
console.log("ready");
