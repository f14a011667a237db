<?php
// PHP's ftp extension, driven by realclients_scripted.py: HOST PORT USER PASSWORD SECURE OPERATION ARGUMENTS...
set_error_handler(function ($level, $text) { fwrite(STDERR, "$text\n"); exit(1); });
[, $host, $port, $user, $password, $secure, $operation] = $argv;
$rest = array_slice($argv, 7);
$ftp = $secure ? ftp_ssl_connect($host, (int)$port, 60) : ftp_connect($host, (int)$port, 60);
ftp_login($ftp, $user, $password) or exit(1);
ftp_pasv($ftp, true);
$put = fn($local, $remote) => ftp_put($ftp, $remote, $local, FTP_BINARY);
$operations = [
    'put' => $put,
    'get' => fn($remote, $local) => ftp_get($ftp, $local, $remote, FTP_BINARY),
    'ls' => function ($directory) use ($ftp) {
        foreach (ftp_mlsd($ftp, $directory) as $one) if (in_array($one['type'], ['file', 'dir'])) echo "{$one['name']}\n";
        return true;
    },
    'mv' => fn($old, $new) => ftp_rename($ftp, $old, $new),
    'mkdir' => fn($path) => ftp_mkdir($ftp, $path) !== false,
    'rm' => fn($path) => ftp_delete($ftp, $path),
    'rmdir' => fn($path) => ftp_rmdir($ftp, $path),
    'many' => function ($directory, ...$files) use ($put) {
        foreach ($files as $file) if (!$put($file, "$directory/" . basename($file))) return false;
        return true;
    },
];
exit($operations[$operation](...$rest) ? 0 : 1);
