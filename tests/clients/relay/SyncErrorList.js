// What a Relay app has in its components; relay.test.mjs compiles it and runs the operations.
import { graphql } from "relay-runtime";

graphql`
  fragment SyncErrorList_row on SyncError {
    id
    title
    category
    status
    lastSeenAt
    affectedRecordCount
    details {
      __typename
      ... on PropertyValueDetails {
        salesforceField {
          name
        }
      }
    }
  }
`;

graphql`
  fragment SyncErrorList_portal on Portal
  @argumentDefinitions(
    count: { type: "Int", defaultValue: 1 }
    cursor: { type: "String" }
    filter: { type: "SyncErrorFilter" }
  )
  @refetchable(queryName: "SyncErrorListPaginationQuery") {
    syncErrors(first: $count, after: $cursor, filter: $filter)
      @connection(key: "SyncErrorList_syncErrors", filters: ["filter"]) {
      totalCount
      edges {
        node {
          ...SyncErrorList_row
        }
      }
    }
  }
`;

graphql`
  query SyncErrorListQuery($hubId: ID, $filter: SyncErrorFilter) {
    portal(hubId: $hubId) {
      id
      ...SyncErrorList_portal @arguments(filter: $filter)
    }
  }
`;

graphql`
  query SyncErrorListRowQuery($id: ID!) {
    node(id: $id) {
      ...SyncErrorList_row @alias(as: "row")
    }
  }
`;

graphql`
  mutation SyncErrorListConfigureMutation($input: ConfigurePortalInput!) {
    configurePortal(input: $input) {
      portal {
        id
        timeZone
      }
      userErrors {
        field
        code
        message
      }
    }
  }
`;
