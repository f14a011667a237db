# Net::FTP, driven by realclients_scripted.py: HOST PORT USER PASSWORD SECURE OPERATION ARGUMENTS...
use strict;
use warnings;
use File::Basename;
use Net::FTP;

my ($host, $port, $user, $password, $secure, $operation, @rest) = @ARGV;
my $ftp = Net::FTP->new($host, Port => $port, Passive => 1, Timeout => 60) or die "connect: $@";
if ($secure) {
    $ftp->starttls(SSL_verify_mode => 0) or die $ftp->message;
}
$ftp->login($user, $password) or die $ftp->message;
$ftp->binary or die $ftp->message;
my %operations = (
    put   => sub { $ftp->put(@_) },
    get   => sub { $ftp->get(@_) },
    ls    => sub { $ftp->cwd($_[0]) && do { print "$_\n" for $ftp->ls; 1 } },
    mv    => sub { $ftp->rename(@_) },
    mkdir => sub { $ftp->mkdir(@_) },
    rm    => sub { $ftp->delete(@_) },
    rmdir => sub { $ftp->rmdir(@_) },
    many  => sub { my $directory = shift; $ftp->put($_, "$directory/" . basename($_)) or return 0 for @_; 1 },
);
$operations{$operation}->(@rest) or die $ftp->message;
$ftp->quit;
