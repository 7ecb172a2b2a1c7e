"""The settings of php.ini that a site may have, each with the kind of its value. Pure.

None of them names a file, a program or a place to send to: what PHP loads, includes, logs to, opens
and mails through is the tool's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "switch": r"(?i)on|off|yes|no|true|false|0|1",
    "number": r"-?[0-9]{1,10}",
    "decimal": r"-?[0-9]{1,10}(\.[0-9]{1,6})?",
    "size": r"-1|[0-9]{1,8}[KkMmGg]?",
    "name": r"[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,63}",
    "text": r"[A-Za-z0-9 ,._:+/=@&#%*!?()<>-]{0,200}",
    "off": r"(?i)off|no|false|0",
}
_BY_KIND = {
    "switch": """
        allow_url_fopen assert.active auto_globals_jit display_errors display_startup_errors
        enable_post_data_reading exif.decode_jis_intel expose_php file_uploads html_errors
        ignore_repeated_errors ignore_repeated_source ignore_user_abort implicit_flush
        apc.enabled apc.use_request_time intl.use_exceptions log_errors mail.add_x_header
        mbstring.encoding_translation mbstring.strict_detection
        mysqli.allow_persistent opcache.enable opcache.enable_file_override
        opcache.huge_code_pages opcache.revalidate_path opcache.save_comments
        opcache.validate_timestamps opcache.validate_permission opcache.validate_root pcre.jit
        register_argc_argv report_memleaks session.cookie_httponly session.cookie_secure
        session.lazy_write session.use_cookies session.use_only_cookies session.use_strict_mode
        session.use_trans_sid session.cookie_partitioned short_open_tag soap.wsdl_cache_enabled
        tidy.clean_output track_errors xmlrpc_errors zend.detect_unicode
        zend.exception_ignore_args zlib.output_compression opcache.protect_memory
        session.upload_progress.enabled session.upload_progress.cleanup
        """,
    "number": """
        apc.entries_hint apc.gc_ttl apc.ttl assert.exception bcmath.scale default_socket_timeout
        error_reporting gd.jpeg_ignore_warning intl.error_level log_errors_max_len
        max_execution_time max_file_uploads max_input_nesting_level max_input_time max_input_vars
        mbstring.regex_retry_limit mbstring.regex_stack_limit mysqli.max_links
        mysqli.max_persistent mysqli.default_port opcache.force_restart_timeout
        opcache.interned_strings_buffer opcache.jit opcache.max_accelerated_files
        opcache.max_file_size opcache.max_wasted_percentage opcache.memory_consumption
        opcache.optimization_level opcache.revalidate_freq pcre.backtrack_limit
        pcre.recursion_limit precision realpath_cache_ttl serialize_precision
        session.cache_expire session.cookie_lifetime session.gc_divisor session.gc_maxlifetime
        session.gc_probability session.sid_bits_per_character session.sid_length
        soap.wsdl_cache_limit soap.wsdl_cache_ttl unserialize_max_depth zend.assertions
        zlib.output_compression_level user_ini.cache_ttl hard_timeout
        zend.exception_string_param_max_len
        """,
    "size": """
        apc.max_file_size apc.shm_size memory_limit opcache.jit_buffer_size output_buffering
        post_max_size realpath_cache_size upload_max_filesize zend.max_allowed_stack_size
        zend.reserved_stack_size zlib.output_buffering
        """,
    "decimal": "date.default_latitude date.default_longitude",
    "name": """
        arg_separator.input arg_separator.output date.timezone default_charset default_mimetype
        iconv.input_encoding iconv.internal_encoding iconv.output_encoding input_encoding
        intl.default_locale internal_encoding mbstring.detect_order mbstring.http_input
        mbstring.http_output mbstring.internal_encoding mbstring.language
        mbstring.substitute_character output_encoding request_order session.cache_limiter
        session.cookie_domain session.cookie_path session.cookie_samesite session.name
        session.sid_hash variables_order zend.script_encoding
        """,
    "text": "disable_classes disable_functions error_append_string error_prepend_string user_agent",
    "off": "allow_url_include enable_dl mysqli.allow_local_infile zend.multibyte user_dir",
}
ALLOWED: Mapping[str, str] = {
    name: kind for kind, names in _BY_KIND.items() for name in names.split()
}
_OURS = "the tool's own"
REFUSED: Mapping[str, str] = {
    "extension": "install Debian's package of the extension on both nodes (apt install php-NAME)",
    "zend_extension": "install Debian's package of the extension on both nodes",
    "extension_dir": "install Debian's package of the extension on both nodes",
    "auto_prepend_file": "write require at the beginning of the pages",
    "auto_append_file": "write require at the end of the pages",
    "open_basedir": f"what PHP may open is {_OURS}",
    "include_path": "call set_include_path() in the pages, or write whole paths",
    "sendmail_path": "the site's mail goes through the system's sendmail; or speak SMTP in PHP",
    "mail.log": f"logs are {_OURS}",
    "error_log": f"logs are {_OURS}",
    "opcache.error_log": f"logs are {_OURS}",
    "opcache.preload": "it runs before any request; leave it out",
    "opcache.preload_user": "the user of PHP is the tool's own",
    "opcache.file_cache": f"where PHP writes is {_OURS}",
    "session.save_handler": 'write [php] sessions = "files" or "database"',
    "session.save_path": 'write [php] sessions = "files" or "database"',
    "upload_tmp_dir": f"where PHP writes is {_OURS}",
    "sys_temp_dir": f"where PHP writes is {_OURS}",
    "user_ini.filename": "settings stand in site.toml alone: .user.ini files are not read",
    "doc_root": f"what is served is {_OURS}",
    "disable_dl": "extensions are not loaded while PHP runs",
    "unserialize_callback_func": "call ini_set() in the pages",
}


def against_setting(name: str, value: str) -> str:
    """Return why a setting of php.ini is refused, or nothing."""
    kind = ALLOWED.get(name)
    if kind is None:
        return REFUSED.get(name, "is not offered: call ini_set() in the pages, if PHP allows it")
    if not re.fullmatch(KINDS[kind], value):
        return f"{value[:40]!r} is no {kind}" if kind != "off" else "only off"
    return ""
