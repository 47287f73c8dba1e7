// The contract against the lint rules for schemas and for Relay.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

import graphql from "@graphql-eslint/eslint-plugin";
import { ESLint } from "eslint";

const root = fileURLToPath(new URL("../..", import.meta.url));
const contract = path.join(root, "schema.graphql");

function eslint(schema) {
  return new ESLint({
    cwd: root,
    overrideConfigFile: true,
    overrideConfig: {
      files: ["**/*.graphql"],
      languageOptions: {
        parser: graphql.parser,
        parserOptions: { graphQLConfig: { schema } },
      },
      plugins: { "@graphql-eslint": graphql },
      rules: {
        ...graphql.configs["flat/schema-recommended"].rules,
        ...graphql.configs["flat/schema-relay"].rules,
        // Payloads, edges and values inside of others have no identity.
        "@graphql-eslint/strict-id-in-types": "off",
        // Some lists go forwards only.
        "@graphql-eslint/relay-arguments": ["error", { includeBoth: false }],
        // Short lists that are always whole are no connections.
        "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false }],
      },
    },
  });
}

const findings = (results) =>
  results.flatMap(({ messages }) =>
    messages.map(({ line, ruleId, message }) => `${line}: ${ruleId}: ${message}`),
  );

test("the contract has no findings", async () => {
  const results = await eslint(contract).lintFiles([contract]);
  assert.equal(results.length, 1);
  assert.deepEqual(findings(results), []);
});

test("the rules do find what is wrong", async () => {
  const text = (await readFile(contract, "utf8")).replace(
    "  openErrorCount: Int!",
    "  open_error_count: Int!",
  );
  const results = await eslint(contract).lintText(text, { filePath: contract });
  assert.match(findings(results).join("\n"), /naming-convention/);
});
