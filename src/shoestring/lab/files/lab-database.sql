-- The lab's own, on each host: no part of the history that both share.
SET sql_log_bin = 0;
CREATE DATABASE IF NOT EXISTS lab;
CREATE USER IF NOT EXISTS visitor@localhost;
CREATE USER IF NOT EXISTS ledger@'%' IDENTIFIED BY 'ledger';
GRANT SELECT, INSERT, UPDATE, DELETE ON lab.* TO visitor@localhost;
GRANT ALL ON lab.* TO ledger@'%';
