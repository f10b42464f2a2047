// oidc-provider, a certified authorization server, on a port of loopback: PKCE required,
// refresh tokens rotate, revocation on, `iss` on every answer. The person always agrees.
//   node authorization-server.mjs REDIRECT_URI
// Prints one line of JSON once it listens, and ends with its standard input.
import http from "node:http";
import Provider from "oidc-provider";

// Its notices would go where the first line is read, and nobody reads a second one.
console.info = () => {};

const [redirectUri] = process.argv.slice(2);
const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "patchbay",
        client_secret: "a-secret-of-the-client-0123456789",
        redirect_uris: [redirectUri],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        token_endpoint_auth_method: "client_secret_basic",
        // Web clients may not use http on loopback.
        application_type: "native",
      },
    ],
    scopes: ["openid", "offline_access", "files.read", "files.write"],
    cookies: { keys: ["of-this-run-only"] },
    features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    ttl: { AccessToken: 3600, AuthorizationCode: 60, RefreshToken: 86400, Grant: 86400, Interaction: 600, Session: 600 },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, name: "Alice" }) }),
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope(ctx.oidc.params.scope);
      await grant.save();
      return grant;
    },
  });
  const answer = provider.callback();
  server.on("request", (request, response) => {
    if (request.url.startsWith("/interaction/")) {
      provider
        .interactionFinished(request, response, { login: { accountId: "alice" }, consent: {} }, { mergeWithLastSubmission: false })
        .catch((error) => response.writeHead(500).end(String(error)));
    } else {
      answer(request, response);
    }
  });
  console.log(JSON.stringify({ issuer }));
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
