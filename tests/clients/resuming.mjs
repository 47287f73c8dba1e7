/** Wraps a client of graphql-ws or graphql-sse: when it connects again by itself, it goes on behind what it heard. */
export function resuming(client) {
  const subscribe = (request, sink) => {
    const next = (result) => {
      const { cursor } = result.data?.syncErrorEvents ?? {};
      if (cursor) request.variables = { ...request.variables, after: cursor };
      sink.next(result);
    };
    return client.subscribe(request, { ...sink, next });
  };
  return { ...client, subscribe };
}
