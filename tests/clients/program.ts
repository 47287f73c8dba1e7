// codegen.test.mjs compiles this beside what it generates; nothing runs it.
import { ApolloClient, HttpLink, InMemoryCache } from "@apollo/client";
import { Client, fetchExchange } from "@urql/core";

import {
  CardDocument,
  ConfigureDocument,
  DetailDocument,
  FeedDocument,
  ReportFailuresDocument,
  type RowFragment,
} from "./operations";
import type { SyncErrorCategory } from "./types";

const url = "http://127.0.0.1/graphql";
const apollo = new ApolloClient({ link: new HttpLink({ uri: url }), cache: new InMemoryCache() });
const urql = new Client({ url, exchanges: [fetchExchange] });

const line = (row: RowFragment): string =>
  `${row.category} ${row.title} ${row.affectedRecordCount.toFixed()} ${row.resolvedAt?.slice(0, 10) ?? ""}`;

export async function rows(category: SyncErrorCategory = "PICKLISTS"): Promise<string[]> {
  const { data } = await apollo.query({
    query: CardDocument,
    variables: { category, filter: { transient: false } },
  });
  // @ts-expect-error The portal may be null.
  data?.portal.id;
  return data?.portal?.category.syncErrors.edges.map(({ node }) => line(node)) ?? [];
}

export async function longest(id: string): Promise<number | null> {
  const { data } = await urql.query(DetailDocument, { id });
  if (data?.node?.__typename !== "SyncError") return null;
  const { details } = data.node;
  // @ts-expect-error Only some details have it.
  details?.maxLength;
  return details?.__typename === "PropertyValueDetails" ? details.maxLength ?? null : null;
}

export async function changed(after: string): Promise<string[]> {
  const { data } = await urql.query(FeedDocument, { after });
  return data?.portal?.syncErrorEvents.edges.map(({ node }) => `${node.kind} ${node.at}`) ?? [];
}

export async function rename(name: string | null): Promise<string[]> {
  const { data } = await apollo.mutate({
    mutation: ConfigureDocument,
    variables: { input: { name } },
  });
  return data?.configurePortal.userErrors.map(({ code, message }) => `${code}: ${message}`) ?? [];
}

export async function report(): Promise<number | undefined> {
  // @ts-expect-error A failure needs its direction.
  await urql.mutation(ReportFailuresDocument, { input: { failures: [{ code: "STRING_TOO_LONG" }] } });
  const { data } = await urql.mutation(ReportFailuresDocument, {
    input: { failures: [{ direction: "HUBSPOT_TO_SALESFORCE", code: "STRING_TOO_LONG" }] },
  });
  return data?.reportSyncFailures.recordedCount;
}
