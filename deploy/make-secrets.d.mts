/** Makes the keys and passwords of the production layout in a folder, a file each, for its owner only; keeps those that are there. */
export declare function makeSecrets(folder: string): Promise<void>;
