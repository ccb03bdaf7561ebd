import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MerkleFrontier } from './merkle-frontier.js';
import { emptyRoot, leafHash, nodeHash } from './merkle-hash.js';
import {
  consistencyProof,
  inclusionProof,
  nodesFromLeaves,
  verifyConsistency,
  verifyInclusion,
} from './merkle-proof.js';

/** The leaves and roots that the Certificate Transparency implementations share as test vectors for RFC 6962. */
const vectorLeaves = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => leafHash(Buffer.from(hex, 'hex')));
const vectorRoots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const leaves = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, i) => leafHash(Buffer.from(`record ${i}`)));

/** MTH as RFC 9162 section 2.1.1 writes it, by recursion: the other way to compute the same root. */
function recursiveRoot(items: readonly Buffer[]): Buffer {
  const [only] = items;
  if (!only) return emptyRoot();
  if (items.length === 1) return only;
  let split = 1;
  while (split * 2 < items.length) split *= 2;
  return nodeHash(recursiveRoot(items.slice(0, split)), recursiveRoot(items.slice(split)));
}

function frontierOf(items: readonly Buffer[]): MerkleFrontier {
  const frontier = MerkleFrontier.empty();
  for (const item of items) frontier.append(item);
  return frontier;
}

describe('MerkleFrontier', () => {
  it('has the roots of the RFC 6962 test vectors', () => {
    for (const [size, root] of vectorRoots.entries()) {
      expect(frontierOf(vectorLeaves.slice(0, size)).root().toString('hex')).toBe(root);
    }
  });

  it('agrees with the recursive definition at each size', () => {
    const all = leaves(200);
    const frontier = MerkleFrontier.empty();
    for (let size = 0; size <= all.length; size += 1) {
      expect(frontier.root()).toEqual(recursiveRoot(all.slice(0, size)));
      const leaf = all[size];
      if (leaf) frontier.append(leaf);
    }
  });

  it('goes on after being stored at any size', () => {
    const all = leaves(70);
    for (let size = 0; size <= 70; size += 1) {
      const first = frontierOf(all.slice(0, size));
      const restored = MerkleFrontier.restore(first.size, first.hashes);
      for (const leaf of all.slice(size)) restored.append(leaf);
      expect(restored.root()).toEqual(recursiveRoot(all));
      expect(first.size).toBe(size);
    }
  });

  it('goes on from sizes beyond 32 bits', () => {
    const size = 2 ** 40 + 3;
    const hashes = leaves(3);
    const frontier = MerkleFrontier.restore(size, hashes);
    const completed = frontier.append(leafHash(Buffer.from('x')));
    expect(frontier.size).toBe(size + 1);
    expect(completed.map((node) => [node.level, node.index])).toEqual([
      [0, size],
      [1, 2 ** 39 + 1],
      [2, 2 ** 38],
    ]);
    expect(frontier.hashes).toHaveLength(2);
  });

  it('refuses to restore what does not fit, and leaves that are no hashes', () => {
    expect(() => MerkleFrontier.restore(3, leaves(1))).toThrow(/does not fit its size 3/);
    expect(() => MerkleFrontier.restore(-1, [])).toThrow(/does not fit/);
    expect(() => MerkleFrontier.restore(1, [Buffer.alloc(31)])).toThrow(/does not fit/);
    expect(() => MerkleFrontier.empty().append(Buffer.alloc(31))).toThrow(/32 bytes/);
  });

  it('gives each complete subtree exactly once', () => {
    const frontier = MerkleFrontier.empty();
    const names = leaves(64).flatMap((leaf) => frontier.append(leaf).map((node) => `${node.level}/${node.index}`));
    expect(new Set(names).size).toBe(127);
    expect(names).toHaveLength(127);
  });
});

describe('proofs', () => {
  const all = leaves(24);
  const nodes = nodesFromLeaves((start, end) => all.slice(start, end));

  it('prove each leaf of each size, from stored nodes as from leaves, and nothing else', async () => {
    const stored = new Map<string, Buffer>();
    const frontier = MerkleFrontier.empty();
    for (const leaf of all)
      for (const node of frontier.append(leaf)) stored.set(`${node.level}/${node.index}`, node.hash);
    const storedNodes = (level: number, index: number): Buffer => {
      const hash = stored.get(`${level}/${index}`);
      if (!hash) throw new Error(`no node ${level}/${index}`);
      return hash;
    };
    for (let size = 1; size <= all.length; size += 1) {
      const root = recursiveRoot(all.slice(0, size));
      for (let index = 0; index < size; index += 1) {
        const proof = await inclusionProof(index, size, storedNodes);
        expect(await inclusionProof(index, size, nodes)).toEqual(proof);
        const claim = { leafHash: all[index] ?? Buffer.alloc(0), index, size, root, proof };
        expect(verifyInclusion(claim)).toBe(true);
        expect(verifyInclusion({ ...claim, leafHash: leafHash(Buffer.from('forged')) })).toBe(false);
        expect(verifyInclusion({ ...claim, root: emptyRoot() })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: [...proof, root] })).toBe(false);
        if (proof.length > 0) expect(verifyInclusion({ ...claim, proof: proof.slice(1) })).toBe(false);
        expect(verifyInclusion({ ...claim, index: index + size })).toBe(false);
        if (size > 1) expect(verifyInclusion({ ...claim, index: (index + 1) % size })).toBe(false);
      }
    }
  });

  it('prove each prefix of each size, and nothing else', async () => {
    for (let size = 1; size <= all.length; size += 1) {
      const root = recursiveRoot(all.slice(0, size));
      for (let oldSize = 0; oldSize <= size; oldSize += 1) {
        const oldRoot = recursiveRoot(all.slice(0, oldSize));
        const proof = await consistencyProof(oldSize, size, nodes);
        const claim = { oldSize, oldRoot, size, root, proof };
        expect(verifyConsistency(claim)).toBe(true);
        expect(verifyConsistency({ ...claim, oldRoot: leafHash(Buffer.from('forged')) })).toBe(false);
        expect(verifyConsistency({ ...claim, proof: [...proof, root] })).toBe(false);
        if (oldSize > 0) expect(verifyConsistency({ ...claim, root: leafHash(Buffer.from('forged')) })).toBe(false);
        if (proof.length > 0) expect(verifyConsistency({ ...claim, proof: proof.slice(0, -1) })).toBe(false);
      }
    }
  });

  it('RFC 9162 section 2.1.5: the proofs of the example tree with seven leaves', async () => {
    const d = all.slice(0, 7);
    const reader = nodesFromLeaves((start, end) => d.slice(start, end));
    const [a, b, c, , e, f, j] = d as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];
    const g = nodeHash(a, b);
    const h = nodeHash(c, d[3] as Buffer);
    const i = nodeHash(e, f);
    const k = nodeHash(g, h);
    const l = nodeHash(i, j);
    expect(await inclusionProof(0, 7, reader)).toEqual([b, h, l]);
    expect(await inclusionProof(3, 7, reader)).toEqual([c, g, l]);
    expect(await inclusionProof(4, 7, reader)).toEqual([f, j, k]);
    expect(await inclusionProof(6, 7, reader)).toEqual([i, k]);
    expect(await consistencyProof(3, 7, reader)).toEqual([c, d[3], g, l]);
    expect(await consistencyProof(4, 7, reader)).toEqual([l]);
    expect(await consistencyProof(6, 7, reader)).toEqual([i, j, k]);
  });

  it('refuse ranges that are not in the tree', async () => {
    await expect(inclusionProof(7, 7, nodes)).rejects.toThrow(/no leaf 7/);
    await expect(inclusionProof(-1, 7, nodes)).rejects.toThrow(/no leaf -1/);
    await expect(consistencyProof(8, 7, nodes)).rejects.toThrow(/no tree of 8/);
    await expect(inclusionProof(0, 80, nodes)).rejects.toThrow(/has only/);
    expect(verifyInclusion({ leafHash: emptyRoot(), index: 0, size: 0, root: emptyRoot(), proof: [] })).toBe(false);
    expect(verifyConsistency({ oldSize: 2, oldRoot: emptyRoot(), size: 1, root: emptyRoot(), proof: [] })).toBe(false);
  });

  it('hold no random proof for true (property)', () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(
        fc.nat(60),
        fc.nat(60),
        fc.array(hash, { maxLength: 8 }),
        hash,
        hash,
        (index, size, proof, leaf, root) => {
          expect(verifyInclusion({ leafHash: leaf, index, size, root, proof })).toBe(false);
          if (index > 0) expect(verifyConsistency({ oldSize: index, oldRoot: leaf, size, root, proof })).toBe(false);
        },
      ),
    );
  });
});
