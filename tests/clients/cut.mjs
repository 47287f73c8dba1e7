// Between a client and the server: lets connections be cut, as by a laptop that goes to sleep.
import net from "node:net";

import { url } from "./server.mjs";

/** Listens on a port of its own and passes everything on, until it is told to cut. */
export async function cuttable() {
  const { hostname, port } = new URL(url);
  const open = new Set();
  const relay = net.createServer((client) => {
    const server = net.connect(Number(port), hostname);
    for (const [from, to] of [[client, server], [server, client]]) {
      open.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise((resolve) => relay.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${relay.address().port}/graphql`,
    cut,
    close() {
      relay.close();
      cut();
    },
  };
}
