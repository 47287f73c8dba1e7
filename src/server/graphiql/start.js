// A token in the fragment (#token=…) never leaves the browser except as the header that it is for.
const token = new URLSearchParams(location.hash.slice(1)).get("token");

const query = `# Needs a token with the scope sync-health:read:
# see "Headers" below.
query Overview {
  portals(first: 10) {
    nodes {
      hubId
      name
      categories { title openErrorCount affectedRecordCount }
      syncErrors(first: 5, orderBy: { field: AFFECTED_RECORD_COUNT }) {
        totalCount
        nodes { title affectedRecordCount message }
      }
    }
  }
}
`;

const subscription = `# Tells what happens from now on, until it is
# stopped; kinds: [OPENED] only what is new. hubId
# stands in "Variables" below, and may be null
# when the token names one portal.
subscription WhatHappens($hubId: ID) {
  syncErrorEvents(hubId: $hubId, kinds: []) {
    at
    kind
    cursor
    syncError { title status affectedRecordCount message }
  }
}
`;

const help = [
  "Put a token in place of TOKEN under Headers, below the document. Then run it.",
  "The demo prints the address of this page with a token: sync-health demo",
  "For a server of your own: sync-health token --portal 1001 --scope sync-health:read --ttl 1h",
];

/** The first portal that a token names. */
function hubIdOf(token) {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { portals } = JSON.parse(atob(claims));
    return Array.isArray(portals) && portals.length > 0 ? String(portals[0]) : null;
  } catch {
    return null;
  }
}

const failed = (message, more) => ({ errors: [{ message, ...more }] });

/** What is wrong with the token, and what to do about it. */
function refused(headers, answer) {
  const told = answer?.errors?.[0]?.message;
  const isMissing = /^(Bearer( TOKEN)?)?$/.test(headers.get("Authorization") ?? "");
  const message = isMissing ? "There is no token yet." : `The server refuses the token. ${told ?? ""}`.trim();
  return failed(message, { extensions: { code: "UNAUTHENTICATED", help } });
}

/** What a stream of events tells, read until it is complete. */
async function listen(response, observer) {
  const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await chunks.read();
    if (done) throw new Error("The stream was cut off: the token has ended, or the server stops. Run it again.");
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const field = (name) => block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (field("event") === "complete") return;
      if (field("event") === "next") observer.next(JSON.parse(field("data")));
    }
  }
}

/** The events of a subscription, as GraphiQL listens to them. */
function events(response, abort) {
  return {
    subscribe(observer) {
      observer.next({ extensions: { stream: "It is open. What happens is told here." } });
      const cutOff = (error) => {
        if (!abort.signal.aborted) observer.next(failed(error.message));
      };
      void listen(response, observer).catch(cutOff).then(() => observer.complete());
      return { unsubscribe: () => abort.abort() };
    },
  };
}

// The schema is asked for when the page opens, before there may be a token: again with the first one that is good.
let isSchemaKnown = false;

/** Asks as every client does: one answer comes as JSON, what a subscription tells as events. */
async function ask(request, { headers: written } = {}) {
  const headers = new Headers(token ? { Authorization: `Bearer ${token}` } : {});
  for (const [name, value] of Object.entries(written ?? {})) headers.set(name, String(value));
  headers.set("Content-Type", "application/json");
  headers.set("Accept", "text/event-stream, application/json");
  const abort = new AbortController();
  // Behind a change of tabs GraphiQL names the operation of the tab before for a moment.
  const { operationName, ...unnamed } = request;
  const isNamed = operationName && request.query.includes(operationName);
  const body = JSON.stringify(isNamed ? request : unnamed);
  const sent = { method: "POST", headers, body, signal: abort.signal };
  let response;
  try {
    response = await fetch("/graphql", sent);
  } catch (error) {
    return failed(`The server cannot be reached: ${error.message}`);
  }
  if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) return events(response, abort);
  const answer = await response.json().catch(() => failed(`The answer is no JSON (status ${response.status}).`));
  if (response.status === 401) return refused(headers, answer);
  const isIntrospection = request.operationName === "IntrospectionQuery";
  if (!isSchemaKnown && answer.data) {
    isSchemaKnown = true;
    if (!isIntrospection) show();
  }
  return answer;
}

const headers = JSON.stringify({ Authorization: `Bearer ${token ?? "TOKEN"}` }, null, 2);
const variables = JSON.stringify({ hubId: token && hubIdOf(token) }, null, 2);
const tabs = [
  { query, headers },
  { query: subscription, variables, headers },
];
const root = ReactDOM.createRoot(document.getElementById("graphiql"));

/** Shows the page; another fetcher makes it ask for the schema anew. */
function show() {
  root.render(
    React.createElement(GraphiQL, {
      fetcher: (request, options) => ask(request, options),
      defaultTabs: tabs,
      defaultHeaders: headers,
      defaultEditorToolsVisibility: "headers",
      isHeadersEditorEnabled: true,
    }),
  );
}

show();
