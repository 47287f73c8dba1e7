// Subscriptions by the clients of both transports: they hear what happens, are cut off, and resume.
import assert from "node:assert/strict";
import test from "node:test";

import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import WebSocket from "ws";

import { report, run, tokens, tooLong, url } from "./server.mjs";

const events = `subscription ($after: String, $field: String!) {
  syncErrorEvents(after: $after, kinds: [], filter: { fields: [$field] }) { cursor kind affectedRecordCount }
}`;

function overWebSocket(options = {}) {
  return createWs({
    url: url.replace("http", "ws"),
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: `Bearer ${tokens.read}` },
    ...options,
  });
}

function overSse() {
  return createSse({ url, headers: { authorization: `Bearer ${tokens.read}` } });
}

async function cursor() {
  const { portal } = await run(tokens.read, "{ portal { eventCursor } }");
  return portal.eventCursor;
}

for (const [name, connect] of [["graphql-ws", overWebSocket], ["graphql-sse", overSse]]) {
  test(`${name} hears what happens, and after a cut what it missed`, async () => {
    const field = `Live_${name.replace("-", "_")}__c`;
    const first = connect();
    const variables = { after: await cursor(), field };
    await report([tooLong(field, `${name}-1`)]);
    let heard;
    for await (const { data, errors } of first.iterate({ query: events, variables })) {
      assert.equal(errors, undefined);
      heard = data.syncErrorEvents;
      break;
    }
    assert.equal(heard.kind, "OPENED");
    await first.dispose();

    await report([tooLong(field, `${name}-2`)]);
    await report([tooLong(field, `${name}-3`)]);
    const counts = [];
    const second = connect();
    const resumed = { after: heard.cursor, field };
    for await (const { data } of second.iterate({ query: events, variables: resumed })) {
      counts.push(data.syncErrorEvents.affectedRecordCount);
      if (counts.length === 2) break;
    }
    assert.deepEqual(counts, [2, 3]);
    await second.dispose();
  });
}

test("graphql-ws is told why an operation is refused, and runs queries too", async () => {
  const client = overWebSocket();
  const refused = client.iterate({ query: "subscription { nonsense }" }).next();
  await assert.rejects(refused, (errors) => {
    assert.equal(errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
    return true;
  });
  const { value } = await client.iterate({ query: "{ portal { hubId } }" }).next();
  assert.deepEqual(value.data, { portal: { hubId: "1001" } });
  await client.dispose();
});

test("graphql-ws with a bad token is closed with 4403 and does not try again", async () => {
  const closed = new Promise((resolve) => {
    const client = overWebSocket({
      connectionParams: { Authorization: "Bearer nonsense" },
      retryAttempts: 0,
      on: { closed: resolve },
    });
    client.subscribe({ query: "{ service { version } }" }, { next() {}, complete() {}, error() {} });
  });
  assert.equal((await closed).code, 4403);
});

test("urql subscribes through graphql-ws", async () => {
  const socket = overWebSocket();
  const client = new Client({
    url,
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
        }),
      }),
    ],
  });
  const cards = await new Promise((resolve) => {
    const query = "subscription { categoriesUpdated { id name } }";
    const { unsubscribe } = client.subscription(query, {}).subscribe(({ data }) => {
      resolve(data.categoriesUpdated);
      setTimeout(() => unsubscribe());
    });
  });
  assert.equal(cards.length, 8);
  await socket.dispose();
});
