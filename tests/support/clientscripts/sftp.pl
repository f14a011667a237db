# Net::SFTP::Foreign, driven by realclients_scripted.py: HOST PORT USER PASSWORD SECURE OPERATION ARGUMENTS...
# It runs ssh, which asks SSH_ASKPASS for the password; ssh's options are in SSH_OPTIONS, a line each.
use strict;
use warnings;
use Encode;
use File::Basename;
use Net::SFTP::Foreign;

my ($host, $port, $user, undef, undef, $operation, @rest) = map { decode_utf8($_) } @ARGV;
binmode STDOUT, ':utf8';
my $sftp = Net::SFTP::Foreign->new(
    host => $host, port => $port, user => $user, autodie => 1, more => [split /\n/, $ENV{SSH_OPTIONS}]);
my %operations = (
    put   => sub { $sftp->put(@_) },
    get   => sub { $sftp->get(@_) },
    ls    => sub { print "$_->{filename}\n" for @{ $sftp->ls($_[0], no_wanted => qr/^\.\.?$/) } },
    mv    => sub { $sftp->rename(@_, overwrite => 1) },
    mkdir => sub { $sftp->mkdir(@_) },
    rm    => sub { $sftp->remove(@_) },
    rmdir => sub { $sftp->rmdir(@_) },
    many  => sub { my $directory = shift; $sftp->put($_, "$directory/" . basename($_)) for @_ },
);
$operations{$operation}->(@rest);
