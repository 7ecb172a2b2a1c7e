<?php
// A page that needs the database: 200 and this host's name if SELECT answers, else 503.
mysqli_report(MYSQLI_REPORT_OFF);
$link = mysqli_init();
$link->options(MYSQLI_OPT_CONNECT_TIMEOUT, 1);
$link->options(MYSQLI_OPT_READ_TIMEOUT, 1);
$found = @$link->real_connect('localhost', 'visitor', '', 'lab') ? $link->query('SELECT 1') : false;
if (!$found) {
    http_response_code(503);
}
header('Content-Type: text/plain');
echo gethostname();
