"""A mail server (aiosmtpd) for the tests of the provider `smtp`.

Its first argument is JSON: `security` (starttls, tls, none), `cert` and `key` (files), `login`
(user name and password, or null), `hang` (at EHLO). What it sees goes to the standard output, a
JSON object a line; the first says the port. It ends with its standard input.

What it does with an e-mail stands in the e-mail itself: see `Handler`.
"""

import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys
import threading
import os

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def tell(**event):
    print(json.dumps(event), flush=True)


class Lines(logging.Handler):
    """Tells every line that a client says."""

    def emit(self, record):
        message = record.getMessage()
        marker = "_handle_client readline: "
        if message.startswith(marker):
            tell(event="line", line=message.removeprefix(marker))


class Handler:
    def __init__(self, hangs_at):
        self.hangs_at = hangs_at
        self.seen = set()

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        if self.hangs_at == "ehlo":
            await asyncio.sleep(3600)
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        user = address.split("@")[0]
        if user == "unknown":
            return "550 5.1.1 No such user here"
        if user == "later" or (user == "once" and address not in self.seen):
            self.seen.add(address)
            return "451 4.7.1 Greylisted, come again"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        subject = str(message["subject"])
        if subject == "refuse":
            return "554 5.7.1 Looks like spam"
        if subject == "busy":
            return "452 4.3.1 No room"
        text = message.get_body(("plain",))
        html = message.get_body(("html",))
        tell(
            event="mail",
            encrypted=server.transport.get_extra_info("sslcontext") is not None,
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            headers=[[name, str(value)] for name, value in message.items()],
            text=text and text.get_content(),
            html=html and html.get_content(),
        )
        if subject == "drop":
            server.transport.abort()
        if subject == "hang":
            await asyncio.sleep(3600)
        return "250 2.0.0 Queued"


async def main(plan):
    logger = logging.getLogger("mail.log")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(Lines())
    context = None
    if plan.get("cert"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(plan["cert"], plan["key"])
    login = plan.get("login")

    def authenticate(server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        given = [data.login.decode(), data.password.decode()]
        tell(event="login", mechanism=mechanism, accepted=given == login)
        # `handled=False`, or the client waits for an answer for ever.
        return AuthResult(success=given == login, handled=False)

    handler = Handler(plan.get("hang"))
    starttls = plan["security"] == "starttls"

    def serve():
        return SMTP(
            handler,
            hostname="mail.test",
            enable_SMTPUTF8=True,
            tls_context=context if starttls else None,
            require_starttls=starttls,
            auth_required=login is not None,
            auth_require_tls=starttls,
            authenticator=authenticate if login else None,
            loop=asyncio.get_running_loop(),
        )

    implicit = context if plan["security"] == "tls" else None
    server = await asyncio.get_running_loop().create_server(
        serve, "127.0.0.1", 0, ssl=implicit
    )
    tell(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


def end_with_input():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
asyncio.run(main(json.loads(sys.argv[1])))
