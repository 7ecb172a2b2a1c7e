<?php
// Sessions in MariaDB: they survive a failover, since both nodes have the table. Loaded before each
// page of a site whose site.toml says php.sessions = "database"; the site itself needs no change.
// A page that opens no session costs nothing: nothing is asked before session_start().
(static function (): void {
    $handler = new class implements SessionHandlerInterface, SessionUpdateTimestampHandlerInterface {
        private ?mysqli $link = null;

        public function open(string $path, string $name): bool
        {
            mysqli_report(MYSQLI_REPORT_OFF);
            $link = mysqli_init();
            $link->options(MYSQLI_OPT_CONNECT_TIMEOUT, 2);
            $link->options(MYSQLI_OPT_READ_TIMEOUT, 5);
            $user = posix_getpwuid(posix_geteuid())['name'];
            if (!@$link->real_connect('localhost', $user, '', 'shoestring_sessions')) {
                return false;
            }
            $this->link = $link;
            return true;
        }

        public function close(): bool
        {
            $this->link?->close();
            $this->link = null;
            return true;
        }

        private function ask(string $sql, array $values): mysqli_stmt|false
        {
            $asked = $this->link?->prepare($sql);
            if (!$asked || !$asked->execute($values)) {
                return false;
            }
            return $asked;
        }

        public function read(string $id): string|false
        {
            $asked = $this->ask('SELECT data FROM session WHERE id = ?', [hash('sha256', $id)]);
            $row = $asked ? $asked->get_result()->fetch_row() : null;
            return $asked ? ($row[0] ?? '') : false;
        }

        public function write(string $id, string $data): bool
        {
            $sql = 'REPLACE INTO session (id, data, touched) VALUES (?, ?, UNIX_TIMESTAMP())';
            return $this->ask($sql, [hash('sha256', $id), $data]) !== false;
        }

        public function destroy(string $id): bool
        {
            return $this->ask('DELETE FROM session WHERE id = ?', [hash('sha256', $id)]) !== false;
        }

        public function gc(int $seconds): int|false
        {
            $asked = $this->ask('DELETE FROM session WHERE touched < UNIX_TIMESTAMP() - ?', [$seconds]);
            return $asked ? $asked->affected_rows : false;
        }

        public function validateId(string $id): bool
        {
            return $this->read($id) !== '';
        }

        public function updateTimestamp(string $id, string $data): bool
        {
            return $this->write($id, $data);
        }
    };
    session_set_save_handler($handler, true);
})();
