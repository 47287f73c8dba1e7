// A mail server on loopback. It says on which port it listens, then tells each e-mail it has taken, one JSON object a
// line. What it answers follows from the recipient: gone@… is refused for good, busy@… twice for now.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";

const { values } = parseArgs({
  options: {
    tls: { type: "string", default: "none" },
    certificate: { type: "string" },
    key: { type: "string" },
    password: { type: "string" },
  },
});
const tell = (told) => console.log(JSON.stringify(told));
const refuse = (code, text) => Object.assign(new Error(text), { responseCode: code });
const seen = new Map();

const server = new SMTPServer({
  secure: values.tls === "implicit",
  hideSTARTTLS: values.tls !== "starttls",
  key: values.key && readFileSync(values.key),
  cert: values.certificate && readFileSync(values.certificate),
  authOptional: !values.password,
  onAuth({ username, password }, session, done) {
    if (password === values.password) done(null, { user: username });
    else done(refuse(535, "5.7.8 Authentication credentials invalid"));
  },
  onRcptTo({ address }, session, done) {
    const [name] = address.split("@");
    const count = (seen.get(address) ?? 0) + 1;
    seen.set(address, count);
    if (name === "gone") return done(refuse(550, "5.1.1 No such user here"));
    if (name === "busy" && count <= 2) return done(refuse(451, "4.7.1 Come back later"));
    done();
  },
  async onData(stream, session, done) {
    const mail = await simpleParser(stream);
    tell({
      secure: session.secure,
      user: session.user ?? null,
      from: mail.from.text,
      to: mail.to.text,
      subject: mail.subject,
      messageId: mail.messageId,
      automatic: mail.headers.get("auto-submitted"),
      date: mail.date,
      text: mail.text,
      html: mail.html,
    });
    done();
  },
});
server.on("error", () => {});
server.listen(0, "127.0.0.1", () => tell({ port: server.server.address().port }));
// Ends with the test that has started it.
process.stdin.on("end", () => process.exit()).resume();
