// npm's ssh2, driven by realclients_scripted.py: HOST PORT USER PASSWORD SECURE OPERATION ARGUMENTS...
'use strict';
const path = require('path');
const { Client } = require(process.env.NODE_CLIENTS + '/ssh2');
const [host, port, username, password, , operation, ...rest] = process.argv.slice(2);
const fail = (error) => { console.error(String(error)); process.exit(1); };
const client = new Client();
client.on('error', fail).on('ready', () => client.sftp((error, sftp) => {
  if (error) fail(error);
  const call = (name, ...args) => new Promise((done, broken) =>
    sftp[name](...args, (error, result) => error ? broken(error) : done(result)));
  const operations = {
    put: (local, remote) => call('fastPut', local, remote),
    get: (remote, local) => call('fastGet', remote, local),
    ls: async (directory) => (await call('readdir', directory)).forEach((one) => console.log(one.filename)),
    mv: (old, fresh) => call('rename', old, fresh),
    mkdir: (name) => call('mkdir', name),
    rm: (name) => call('unlink', name),
    rmdir: (name) => call('rmdir', name),
    many: async (directory, ...files) => {
      for (const file of files) await call('fastPut', file, directory + '/' + path.basename(file));
    },
  };
  operations[operation](...rest).then(() => client.end(), fail);
}));
client.connect({ host, port: Number(port), username, password });
