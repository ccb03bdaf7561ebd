import { describe, expect, it } from '@jest/globals';
import { findUser } from './system-user.js';

const PASSWD = `root:x:0:0:root:/root:/bin/bash
postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash
toor:x:0:0::/root:/bin/sh
broken:x:abc:def::/:/bin/sh
`;

describe('findUser', () => {
  it('finds a user with its numbers', () => {
    expect(findUser(PASSWD, 'postgres')).toEqual({ name: 'postgres', uid: 101, gid: 104 });
  });

  it.each(['root', 'toor', 'broken', 'post', ''])('finds nobody to run a database as under the name %j', (name) => {
    expect(findUser(PASSWD, name)).toBeUndefined();
  });
});
