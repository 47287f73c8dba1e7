// A token in the fragment (#token=…) never leaves the browser except as the header that it is for.
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "TOKEN";

const query = `# Needs a token with the scope sync-health:read: see "Headers" below.
{
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

// The schema is asked for before the headers below can be changed.
const headers = { Authorization: `Bearer ${token}` };

const element = React.createElement(GraphiQL, {
  fetcher: GraphiQL.createFetcher({ url: "/graphql", headers }),
  defaultQuery: query,
  defaultHeaders: JSON.stringify(headers, null, 2),
  defaultEditorToolsVisibility: "headers",
  isHeadersEditorEnabled: true,
});
ReactDOM.createRoot(document.getElementById("graphiql")).render(element);
