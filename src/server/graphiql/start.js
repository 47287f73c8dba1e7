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

const element = React.createElement(GraphiQL, {
  fetcher: GraphiQL.createFetcher({ url: "/graphql" }),
  defaultQuery: query,
  defaultHeaders: JSON.stringify({ Authorization: `Bearer ${token}` }, null, 2),
  defaultEditorToolsVisibility: "headers",
  isHeadersEditorEnabled: true,
});
ReactDOM.createRoot(document.getElementById("graphiql")).render(element);
