"""What a site's own Apache configuration may say: hostile texts, the reader, real applications."""

from __future__ import annotations

import json
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoestring.site import directive_reference, directives, render, sitefile
from shoestring.site.arguments import CHECKS
from shoestring.site.directive_table import table
from shoestring.site.directives import Scope, statements

CASES = Path(__file__).parents[1] / "cases"
EVERY = Scope(None, frozenset(["AuthConfig", "FileInfo", "Indexes", "Limit", "Options"]), ("up",))
# Everything that ran, read or reached out of the site before there was an allow list, in the
# spellings that Apache understands, and its relatives.
HOSTILE = [
    "Include ${SITE}/public/x.txt",
    "Include ${SHARED}/uploads/x.conf",
    "Include /etc/shadow",
    "Include ${SITE}/conf/../public/x.conf",
    "Include ${SITE}/conf/x/../../public/x.conf",
    "Include conf/x.conf",
    "Include ${SITE}/conf/sub/data.txt",
    "Include ${SITE}/conf/*.conf",
    "IncludeOptional ${OTHER}/x",
    "IncludeOptional ${SITE}/public/*.conf",
    '"Include" /etc/shadow',
    "Include> /etc/shadow",
    "<Include /etc/shadow>\n</Include>",
    "# x\\\r\nLoadModule x /tmp/x.so",
    "# comment that ends \\\r\r\nRewriteMap m prg:/bin/sh",
    "# nul \0\nRewriteMap m prg:/bin/sh",
    "RewriteEngine On\x0bRewriteMap m prg:/bin/sh",
    "RewriteEngine On\x85RewriteMap m prg:/bin/sh",
    "RewriteEngine On\u2028RewriteMap m prg:/bin/sh",
    "Define P prg\nRewriteMap m ${P}:/bin/sh",
    "Define SITE /etc",
    "UnDefine SITE",
    "RewriteMap m prg:/bin/sh",
    "RewriteMap m PRG:/bin/sh",
    "RewriteMap m p\\\nrg:/bin/sh",
    "RewriteMap m dbm:${SITE}/conf/x.db",
    "RewriteMap m dbd:query",
    "RewriteMap m txt:/etc/passwd",
    "RewriteMap m txt:${SITE}/conf/../../etc/passwd",
    "RewriteMap SITE txt:${SITE}/conf/x",
    "SSLRandomSeed startup exec:/bin/sh",
    "SSLPassPhraseDialog exec:/bin/sh",
    "SSLPassPhraseDialog |/bin/sh",
    "AuthLDAPBindPassword exec:/bin/sh",
    "SessionCryptoPassphrase exec:/bin/sh",
    "MDMessageCmd /bin/sh",
    "MDChallengeDns01 /bin/sh",
    "MDNotifyCmd /bin/sh",
    "ExtFilterDefine x cmd=/bin/sh",
    "CustomLog |/bin/sh x",
    'CustomLog "|$/bin/sh" x',
    "GlobalLog |/bin/sh x",
    "TransferLog |/bin/sh",
    'ErrorLog "|/bin/sh"',
    "ForensicLog |/bin/sh",
    "LogFormat %h combined",
    "ErrorLogFormat x",
    "LogLevel emerg",
    "RemoteIPHeader X-Forwarded-For",
    "LoadModule x /tmp/x.so",
    "LoadFile /tmp/x.so",
    "<IfModule core.c>\nLoadModule x /tmp/x.so\n</IfModule>",
    "LuaHookFixups /tmp/x.lua f",
    "<Macro m>\nLoadFile /tmp/x\n</Macro>",
    "Use m",
    "ScriptAlias /x /bin",
    "ScriptSock /tmp/x",
    "Action a /b",
    "SetHandler cgi-script",
    "SetHandler balancer-manager",
    "SetHandler server-info",
    "SetHandler server-status",
    "<Location /s>\nSetHandler server-status\nRequire all granted\n</Location>",
    'SetHandler "proxy:unix:/run/shoestring-php/live-a/php.sock|fcgi://x"',
    "SetHandler proxy:fcgi://127.0.0.1:9000",
    "SetHandler application/x-httpd-php",
    "SetHandler %{ENV:x}",
    "AddHandler application/x-httpd-php .jpg",
    "AddHandler cgi-script .cgi",
    "AddHandler lua-script .lua",
    "AddHandler proxy:unix:/run/x|fcgi://y .jpg",
    "AddType application/x-httpd-php .jpg",
    "AddType application/x-httpd-cgi .cgi",
    "AddType text/x-server-parsed-html .html",
    'AddType "proxy:unix:/run/x|fcgi://y" .jpg',
    "ForceType application/x-httpd-php",
    "RewriteRule x - [H=application/x-httpd-php]",
    "RewriteRule x - [T=application/x-httpd-php]",
    "RewriteRule x - [H=proxy:unix:/run/x|fcgi://y]",
    "Options ExecCGI",
    "Options +ExecCGI",
    "Options All",
    "Options Includes",
    "<Directory ${SHARED}/up>\nOptions FollowSymLinks\n</Directory>",
    "<Directory ${SITE}/public/up>\nOptions +FollowSymLinks\n</Directory>",
    "<DirectoryMatch ^${SITE}/public/.*>\nOptions FollowSymLinks\n</DirectoryMatch>",
    "<Directory ${SITE}/*/up>\nOptions FollowSymLinks\n</Directory>",
    "<Directory ${SHARED}>\nAllowOverride All\n</Directory>",
    "AccessFileName x",
    "AllowOverride All",
    "AllowOverrideList Action",
    "DocumentRoot /var/www",
    "DocumentRoot ${SITE}",
    "DocumentRoot ${SITE}/conf",
    "DocumentRoot ${SITE}/public/../conf",
    "DocumentRoot ${SITE}/public/x/..",
    "DocumentRoot ${SITE}x",
    "DocumentRoot ${TLS}",
    "Alias /x /etc",
    "Alias /x ${SITE}/../..",
    'Alias /x "/etc"',
    "AliasMatch ^/(.*) /$1",
    "AliasMatch ^/(.*) $1",
    "VirtualDocumentRoot /%0",
    '<Directory "/etc">\n</Directory>',
    "<Directory />\nRequire all granted\n</Directory>",
    "<Directory ~ .>\n</Directory>",
    "<DirectoryMatch ^/etc>\n</DirectoryMatch>",
    "<DirectoryMatch ^${SITE}/public/|^/etc>\n</DirectoryMatch>",
    "<DirectoryMatch ^${SITE}/public/x|/etc>\n</DirectoryMatch>",
    "<IfFile /etc/shadow>\n</IfFile>",
    "RewriteRule ^/x /etc/passwd",
    "RewriteRule ^/(.*)$ /$1",
    "RewriteRule ^/x(.*)$ $1 [END]",
    "RewriteRule ^/(.*)$ %{REQUEST_URI}",
    "ErrorDocument 404 /etc/passwd",
    "HeaderName ../../etc/passwd",
    "# goes on \\\\\nKeepAlive On",
    "# goes on \\\nKeepAlive On",
    "RewriteRule ^/x /run/credentials/x/site.key",
    "RewriteRule ^/x ${TLS}/site.key",
    "RewriteRule ^/x ${SITE}/conf/users",
    "RewriteRule ^/x http://localhost/etc/passwd",
    "RewriteRule ^/x %{DOCUMENT_ROOT}/../conf/users",
    "RewriteRule ^(.*)$ $1 [UnsafePrefixStat]",
    "RewriteOptions LegacyPrefixDocRoot",
    "RewriteOptions AllowAnyURI",
    "RewriteRule ^/x unix:/run/x|http://y [P]",
    "RewriteRule ^/x http://127.0.0.1:7441/ [P]",
    "RewriteRule ^/x(.*) http://127.0.0.1:744$1 [P]",
    "RewriteRule ^/(.*)$ $1 [P]",
    "RewriteRule ^/x http://%{HTTP:X-Target}/ [P]",
    "RewriteRule ^/x fcgi://127.0.0.1:9000/ [P]",
    "RewriteCond /etc/passwd -f",
    "RewriteCond %{HTTP:X}/passwd -f",
    "RewriteCond expr \"file('/etc/passwd') =~ /root/\"",
    "RewriteCond expr \"-e '/etc/passwd'\"",
    "ProxyPass /x unix:/run/x.sock|http://y/",
    "ProxyPass /x fcgi://127.0.0.1:9000/",
    "ProxyPass /x http://127.0.0.1:7430/",
    "ProxyPass /x http://beta:7449/",
    "ProxyPass /x http://127.0.0.1:07441/",
    "ProxyPass /x http://127.0.0.1:941/",
    "ProxyPass /x http://127.0.0.1:0942/",
    "ProxyPass /x http://169.254.169.254/",
    "ProxyPass /x http://2852039166/",
    "ProxyPass /x http://a@127.0.0.1:7441/",
    "ProxyPass /x/ http://127.0.0.1:3000",
    "ProxyPassMatch ^/x(.*)$ http://127.0.0.1:3000$1",
    "ProxyPassMatch ^/(.*)$ http://$1/",
    "ProxyPass /x http://127.0.0.1:3000/ secret=${PATH}",
    "ProxyPassInterpolateEnv On",
    "ProxyRequests On",
    "ProxyRemote * http://x/",
    "ProxyFCGISetEnvIf true PHP_ADMIN_VALUE x",
    "<Proxy fcgi://live-a>\n</Proxy>",
    "BalancerMember unix:/run/x|http://y",
    "BalancerMember http://127.0.0.1:7441",
    "CacheRoot /tmp",
    "CacheLockPath /tmp/x",
    "CacheEnable disk /",
    "CacheSocache shmcb:/tmp/x(512000)",
    "SSLSessionCache shmcb:/tmp/x(512000)",
    "SSLSessionCache dbm:/tmp/x",
    "DAV On",
    "DavLockDB /tmp/x",
    "OutputSed w/tmp/x",
    "CacheFile /etc/passwd",
    "MMapFile /etc/passwd",
    "UserDir public_html",
    "DBDParams x",
    "MetaDir /etc",
    "MimeMagicFile /etc/passwd",
    "TypesConfig /etc/passwd",
    "CoreDumpDirectory /tmp",
    "PidFile /tmp/x",
    "ScoreBoardFile /tmp/x",
    "Mutex file:/tmp default",
    "ServerRoot /tmp",
    "DefaultRuntimeDir /tmp",
    "ChrootDir /tmp",
    "User root",
    "Group root",
    "SuexecUserGroup root root",
    "Listen 80",
    "  LISTEN 80",
    "Lis\\\nten 80",
    "Listen\t80",
    "EnableExceptionHook On",
    "ServerLimit 1",
    "AuthUserFile /etc/shadow",
    "AuthUserFile ${SITE}/public/users",
    "AuthUserFile ${SHARED}/users",
    "AuthGroupFile ${SITE}/conf/../x",
    "AuthBasicProvider dbm",
    "AuthnzFcgiDefineProvider authn x fcgi://127.0.0.1:9000/",
    "Require dbm-file-group",
    "Require ldap-user x",
    '<If "true">\nRequire all granted\n</If>',
    '<If "true">\nSatisfy Any\n</If>',
    '<If "true">\n<RequireAny>\n</RequireAny>\n</If>',
    '<Location />\n<If "true">\nRequire ip 0.0.0.0/0\n</If>\n</Location>',
    "Satisfy Any",
    "SSLCertificateKeyFile /etc/ssl/private/x.key",
    "SSLCertificateKeyFile ${SITE}/conf/x.key",
    "SSLCertificateKeyFile ${TLS}/../x.key",
    "SSLCertificateFile pkcs11:object=x",
    "SSLCACertificatePath /etc/ssl",
    "SSLOpenSSLConfCmd VerifyCAFile /etc/passwd",
    "SSLOpenSSLConfCmd DHParameters /etc/passwd",
    "SSLCryptoDevice x",
    'SSLRequire file("/etc/passwd") =~ m/x/',
    "SSLOCSPDefaultResponder http://x/",
    "SSLSRPVerifierFile /etc/passwd",
    'Header set X "expr=%{file:/etc/passwd}"',
    'Header set X "expr=%{osenv:PATH}"',
    'Header set X "expr=%{env:CREDENTIALS_DIRECTORY}"',
    "Header set X expr=%{base64:%{file:/etc/passwd}}",
    "Header set X %{FILE:/etc/passwd}",
    "Header set X ${PATH}",
    "Header set X ${TLS}",
    "Header set X ${CREDENTIALS_DIRECTORY}",
    "ErrorDocument 404 %{file:/etc/passwd}",
    "<If \"file('/etc/passwd') =~ /root/\">\n</If>",
    "<If \"file ('/etc/passwd') =~ /root/\">\n</If>",
    "<If \"filesize('/etc/passwd') -gt 0\">\n</If>",
    "<If \"-f '/etc/passwd'\">\n</If>",
    "<If \"-f'/etc/passwd'\">\n</If>",
    '<If "-s %{HTTP:X}">\n</If>',
    "<If \"osenv('PATH') != ''\">\n</If>",
    "<If \"unknown('x')\">\n</If>",
    '<If "\'x == 1">\n</If>',
    "Require expr -f /etc/passwd",
    "SetEnvIfExpr \"file('/etc/passwd') =~ /(.*)/\" X=$1",
    "SetEnv LD_PRELOAD /tmp/x.so",
    "SetEnv PHP_ADMIN_VALUE auto_prepend_file=/tmp/x",
    "SetEnv PHP_VALUE auto_prepend_file=/tmp/x",
    "SetEnv SCRIPT_FILENAME /etc/passwd",
    "SetEnvIf X . PHP_ADMIN_VALUE=x",
    "SetEnvIfNoCase X . php_value=x",
    "SetEnvIf X . !nokeepalive",
    "UnsetEnv nokeepalive",
    "BrowserMatch . PHP_VALUE=x",
    "RewriteRule . - [E=PHP_VALUE:x]",
    "RewriteRule . - [E=%{HTTP:X}:x]",
    "RewriteRule . - [E=SHOESTRING_ADDRESS:x]",
    "RewriteRule . %{ENV:PATH} [R]",
    "PassEnv PATH",
    "php_admin_value auto_prepend_file /tmp/x",
    "php_value auto_prepend_file /tmp/x",
    "PHPIniDir /tmp",
    "RequestHeader set User-Agent sqlmap",
    "RequestHeader set X-Forwarded-For 192.0.2.1 early",
    "SetOutputFilter INCLUDES",
    "AddOutputFilter INCLUDES .shtml",
    "AddInputFilter lua x",
    "FilterProvider x INCLUDES true",
    "XBitHack on",
    "LimitRequestLine 99999999",
    "TraceEnable On",
    "ServerTokens Full",
    "RequestReadTimeout header=0",
    "KeepAliveTimeout 86400",
    "Timeout 99999",
    "Nonsense x",
    "\u212aeepAlive On",
    "</Directory>",
    "<Directory ${SITE}/public>",
    "<Directory ${SITE}/public>\n</Files>",
    "<Directory ${SITE}/public\n</Directory>",
    "<Directory ${SITE}/public> Listen 80\n</Directory>",
    "${SITE} x",
    "<Location /x>\nInclude ${SITE}/conf/sub/a.conf\n</Location>",
]


def refusals(text: str, path: str = "conf/a.conf") -> list[str]:
    return [finding.sentence() for finding in directives.findings(path, text, EVERY)]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_configuration_is_refused_with_a_reason(text: str):
    found = refusals(text)
    assert found
    assert all(len(sentence) < 400 and sentence.isprintable() for sentence in found)


@pytest.mark.parametrize(
    "text", [t for t in HOSTILE if "\n" not in t and t.isprintable() and t.isascii()]
)
def test_hostile_statements_are_refused_in_every_spelling(text: str):
    for spelling in (
        "\t" + " ".join([text.split(maxsplit=1)[0].swapcase(), *text.split()[1:]]) + "\t",
        f"<IfModule core.c>\n{text}\n</IfModule>",
        f"<IfModule !nothing.c>\n  {text}\n</IfModule>",
        f"# first\n\n{text[:3]}\\\n{text[3:]}",
    ):
        assert refusals(spelling), spelling


@pytest.mark.parametrize("text", [t for t in HOSTILE if "\n" not in t])
def test_htaccess_may_say_no_more(text: str):
    if not text.startswith(("RewriteRule ^/x", "RewriteRule ^/(.*)$")):
        assert refusals(text, "public/.htaccess")


FINE = [
    "# Listen 80",
    "# a comment \\ with a backslash in it",
    "DocumentRoot ${SITE}/public/shop",
    "DocumentRoot ${SITE}/public",
    'Alias /u "${SHARED}/uploads"',
    "<Files ~ secret>\n</Files>",
    "Redirect permanent /a https://example.org/",
    "Header set Cache-Control max-age=60",
    "SSLCertificateKeyFile ${TLS}/site.key",
    "RewriteRule ^/x/(.*)$ /y/$1 [R]",
    "RewriteRule ^/(.*)$ /$1 [PT]",
    "RewriteRule ^/(.*)$ /index.php?q=$1 [L,QSA]",
    "RewriteRule ^/x http://127.0.0.1:3000/ [P]",
    "ErrorDocument 404 /404.html",
    'ErrorDocument 503 "closed until noon"',
    "Include ${SITE}/conf/parts/*.conf",
    "<VirtualHost *:80>\nIncludeOptional ${SITE}/conf/parts/a.conf\n</VirtualHost>",
    '<If "%{REQUEST_URI} =~ m#^/(a|b)(c)$# && -f %{REQUEST_FILENAME}">\n</If>',
    "<If \"tolower(%{HTTP_HOST}) == 'x'\">\nRequire all denied\n</If>",
    "SetEnvIf Request_URI ^/x$ dontlog=1 !other",
    "Options -Indexes +FollowSymLinks",
    "<Location /s>\nSetHandler server-status\nRequire ip 192.0.2.0/24\n</Location>",
    "ProxyPass /x http://[::1]:3000/x timeout=5",
    "ProxyPass /x !",
    "<Location /x>\nProxyPass http://127.0.0.1:3000/x\n</Location>",
    "Timeout 300",
]


@pytest.mark.parametrize("text", FINE)
def test_ordinary_configuration_is_fine(text: str):
    assert refusals(text) == []


@pytest.mark.parametrize("case", sorted(CASES.glob("site-config/*")), ids=lambda c: c.name)
def test_what_real_applications_document_is_accepted(case: Path):
    wanted = sitefile.read_all((case / "site.toml").read_text())
    assert isinstance(wanted, sitefile.SiteFile), wanted
    modules = frozenset(render.modules(wanted))
    scope = Scope(modules, frozenset(wanted.allow_override), ("uploads",))
    files = [f for f in case.rglob("*") if f.name == ".htaccess" or f.suffix == ".conf"]
    assert files
    for file in files:
        path = str(file.relative_to(case))
        found = [f.sentence() for f in directives.findings(path, file.read_text(), scope)]
        assert found == []


def test_each_rule_has_a_check_or_a_reason():
    for rule in table().values():
        assert bool(rule.check) != bool(rule.refuse), rule
        assert not rule.check or rule.check in CHECKS, rule
        assert len(rule.refuse) > 20 or not rule.refuse, rule
    assert len(table()) > 700
    assert {rule.check for rule in table().values()} == set(CHECKS)


def test_findings_come_all_at_once_with_their_lines():
    found = list(directives.findings("conf/a.conf", "Listen 80\nKeepAlive On\nUser x\n"))
    assert [(f.line, f.why.split()[0].rstrip(":")) for f in found] == [(1, "Listen"), (3, "User")]


def test_a_continued_line_is_one_statement_with_the_number_of_its_first():
    found = list(directives.findings("conf/a.conf", "# x\nLoad\\\nModule x /tmp/x.so\n"))
    assert [(f.path, f.line) for f in found] == [("conf/a.conf", 2)]


def test_a_directive_of_a_module_that_is_not_loaded_says_which():
    scope = Scope(frozenset(["dir"]))
    found = list(directives.findings("conf/a.conf", "RewriteEngine On", scope))
    assert 'modules = ["rewrite"]' in found[0].why
    guarded = "<IfModule mod_rewrite.c>\nRewriteEngine On\n</IfModule>"
    assert list(directives.findings("conf/a.conf", guarded, scope)) == []


def test_what_htaccess_may_not_say_is_named():
    found = directives.findings("public/.htaccess", "Options -Indexes", Scope())
    assert 'allow_override lacks "Options"' in next(found).why


@pytest.mark.parametrize("case", sorted(CASES.glob("site-reader/*.json")), ids=lambda c: c.stem)
def test_the_reader_reads_what_apache_has_read(case: Path):
    said = json.loads(case.read_text())
    ours = [[s.last, s.name.lower(), s.rest] for s in statements(said["text"])]
    assert ours == said["statements"]


@given(st.text(max_size=300))
def test_any_text_is_looked_at_without_an_exception(text: str):
    for path in ("conf/a.conf", "public/.htaccess"):
        for finding in directives.findings(path, text, EVERY):
            assert finding.sentence()


@pytest.mark.parametrize(
    "text",
    [
        "<IfModule x>\n" * 50_000,
        "RewriteRule " + "(" * 7000 + " -",
        'Header set X "' + "%{" * 3000,
        "Header set X " + "${" * 3000,
        '<If "' + "'" * 7000 + '">\n',
        '<If "' + "m" * 3000 + "#" * 3000 + '">\n</If>',
        "\\\n" * 400_000,
        "Require expr " + "/x" * 3900,
        "Listen 80\n" * 100_000,
        "RewriteCond ${" + "a:{" * 2500 + " x",
    ],
)
def test_a_hostile_text_takes_no_time(text: str):
    began = time.monotonic()
    for count, _ in enumerate(directives.findings("conf/a.conf", text, EVERY)):
        if count > 500:
            break
    assert time.monotonic() - began < 2.0


def test_the_reference_page_is_made_from_the_table():
    page = Path(__file__).parents[2] / "docs/reference/site-directives.md"
    assert page.read_text() == directive_reference.reference()
    named = {check.split()[0] for check in CHECKS if check}
    assert named == set(directive_reference.CHECKED)


HOSTILE_PUSHES = [
    push
    for name in ("directives", "texts")
    for push in tomllib.loads((CASES / f"hostile/{name}.toml").read_text())["push"]
]
# Refused by the trial boot, not by a rule: they say what a site may say, and it does not come up.
BY_TRIAL = {"error-directive", "deny-the-health-page", "locationmatch-opens-everything"}


@pytest.mark.parametrize("push", HOSTILE_PUSHES, ids=lambda push: str(push["name"]))
def test_what_the_attack_bench_expects_refused_is_refused(push: dict[str, str]):
    text = push.get("line") or push.get("conf")
    if text and push["expect"] == "refused" and push["name"] not in BY_TRIAL:
        assert refusals(text)
