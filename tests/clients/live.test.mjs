// Subscriptions by the clients of both transports: they hear what happens, are cut off, and resume.
import assert from "node:assert/strict";
import test from "node:test";

import { ApolloClient, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import WebSocket from "ws";

import { cuttable } from "./cut.mjs";
import { resuming } from "./resuming.mjs";
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

const soon = { retryAttempts: 20, retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)) };

/** By each client: calls `hear` with every event until it is told to end. */
const clients = {
  "graphql-ws": (at, variables, hear) => {
    const client = resuming(overWebSocket({ url: at.replace("http", "ws"), ...soon }));
    const next = ({ data }) => hear(data.syncErrorEvents);
    client.subscribe({ query: events, variables }, { next, error() {}, complete() {} });
    return () => client.dispose();
  },
  "graphql-sse": (at, variables, hear) => {
    const headers = { authorization: `Bearer ${tokens.read}` };
    const client = resuming(createSse({ url: at, headers, ...soon, retry: soon.retryWait }));
    const next = ({ data }) => hear(data.syncErrorEvents);
    client.subscribe({ query: events, variables }, { next, error() {}, complete() {} });
    return () => client.dispose();
  },
  "Apollo Client": (at, variables, hear) => {
    const socket = resuming(overWebSocket({ url: at.replace("http", "ws"), ...soon }));
    const client = new ApolloClient({ link: new GraphQLWsLink(socket), cache: new InMemoryCache() });
    const subscription = client
      .subscribe({ query: gql(events), variables })
      .subscribe(({ data }) => hear(data.syncErrorEvents));
    return () => {
      subscription.unsubscribe();
      return socket.dispose();
    };
  },
  urql: (at, variables, hear) => {
    const socket = resuming(overWebSocket({ url: at.replace("http", "ws"), ...soon }));
    const forwardSubscription = ({ query, variables }) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
    });
    const client = new Client({ url: at, exchanges: [fetchExchange, subscriptionExchange({ forwardSubscription })] });
    const { unsubscribe } = client
      .subscription(events, variables)
      .subscribe(({ data }) => hear(data.syncErrorEvents));
    return () => {
      unsubscribe();
      return socket.dispose();
    };
  },
};

for (const [name, connect] of Object.entries(clients)) {
  test(`${name} hears what happens, is cut off, and resumes by itself`, { timeout: 60_000 }, async () => {
    const field = `Live_${name.replaceAll(/[^a-z]/gi, "_")}__c`;
    const { portal } = await run(tokens.read, "{ portal { eventCursor } }");
    const relay = await cuttable();
    const counts = [];
    let changed = () => {};
    const until = async (count) => {
      while (counts.length < count) await new Promise((resolve) => (changed = resolve));
    };
    const end = connect(relay.url, { after: portal.eventCursor, field }, (event) => {
      counts.push(event.affectedRecordCount);
      changed();
    });
    try {
      await report([tooLong(field, `${name}-1`)]);
      await until(1);
      for (const round of [2, 4]) {
        relay.cut();
        await report([tooLong(field, `${name}-${round}`)]);
        await report([tooLong(field, `${name}-${round + 1}`)]);
        await until(round + 1);
      }
      assert.deepEqual(counts, [1, 2, 3, 4, 5]);
    } finally {
      await end();
      relay.close();
    }
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
