import "./production.mjs";
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { addPgTableCondition, jsonPgSmartTags } from "postgraphile/utils";

const tags = jsonPgSmartTags({
  version: 1,
  config: {
    class: {
      sync_errors: {
        attribute: { last_seen_at: { tags: { behavior: "+attribute:orderBy" } } },
      },
      affected_records: {
        tags: {
          foreignKey: "(hub_id, error_id) references sync_errors (hub_id, id)|@fieldName syncError|@foreignFieldName affectedRecords",
        },
        attribute: { cleared_at: { tags: { behavior: "+attribute:filterBy" } } },
      },
    },
  },
});

// Literal: from a parameter PostgreSQL cannot prove that the partial index holds all of it.
const open = addPgTableCondition(
  { schemaName: "public", tableName: "sync_errors" },
  "open",
  ({ graphql }) => ({ type: graphql.GraphQLBoolean }),
  (value, { sql, sqlTableAlias }) => (value ? sql`${sqlTableAlias}.status < 2` : null),
);

const server = createServer();
const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  plugins: [tags, open],
  pgServices: [
    makePgService({
      connectionString: process.env.DATABASE_URL,
      schemas: ["public"],
      poolConfig: { max: 8 },
    }),
  ],
  grafast: { explain: false },
  grafserv: { graphiql: false, watch: false, websockets: false },
});
await instance.createServ(grafserv).addTo(server);
server.listen(process.env.PORT, "127.0.0.1", () => console.log("ready"));
