/** Nodes that are added to a network to look at its values, under names that it does not have. */
import type { NetworkDescription, NodeDescription } from '../binding.js';
import { item } from '../indexing.js';

/** Inputs that a concatenation may have. */
const MOST_JOINED = 16;

export interface AddedNodes {
  /** Those of the network, and behind them what was added. */
  nodes: NodeDescription[];
  /** Adds a node of any name; the name that it got. */
  add(node: { kind: string; inputs: string[] }): string;
  /** The node that has the values of all these (at least one), one behind another. */
  join(names: string[]): string;
}

export function addedNodes(network: NetworkDescription, prefix: string): AddedNodes {
  const taken = new Set(network.nodes.map(({ name }) => name));
  const nodes = [...network.nodes];
  const add = (node: { kind: string; inputs: string[] }): string => {
    let name = `${prefix}${nodes.length}`;
    while (taken.has(name)) name += '_';
    taken.add(name);
    nodes.push({ ...node, name } as NodeDescription);
    return name;
  };
  const join = (names: string[]): string => {
    let parts = names;
    while (parts.length > 1) {
      const joined: string[] = [];
      for (let i = 0; i < parts.length; i += MOST_JOINED) {
        const some = parts.slice(i, i + MOST_JOINED);
        joined.push(some.length > 1 ? add({ kind: 'concat', inputs: some }) : item(some, 0));
      }
      parts = joined;
    }
    return item(parts, 0);
  };
  return { nodes, add, join };
}
