import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { AssetKind, Criticality, LifecycleState } from '@fettle/contracts';

@Entity('space')
export class SpaceEntity {
  @PrimaryColumn('text') name!: string;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
}

@Entity('asset')
export class AssetEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') space!: string;
  @Column('text') name!: string;
  @Column('text') kind!: AssetKind;
  @Column('text', { nullable: true }) site!: string | null;
  @Column('text', { nullable: true }) owner!: string | null;
  @Column('text', { nullable: true }) criticality!: Criticality | null;
  @Column('text') lifecycle!: LifecycleState;
  @Column('jsonb') labels!: Record<string, string>;
  /** Who owns each column or label: `{"site": "import:csv", "label.env": "person"}`. */
  @Column('jsonb') sources!: Record<string, string>;
  @Column('timestamptz', { name: 'quarantined_at', nullable: true }) quarantinedAt!: Date | null;
  @Column('text', { name: 'quarantine_reason', nullable: true }) quarantineReason!: string | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt!: Date;
}

@Entity('asset_fact')
export class AssetFactEntity {
  @PrimaryColumn('uuid', { name: 'asset_id' }) assetId!: string;
  @PrimaryColumn('text') name!: string;
  @Column('jsonb') value!: unknown;
  @Column('text') source!: string;
  @Column('timestamptz', { name: 'observed_at' }) observedAt!: Date;
}

@Entity('asset_identifier')
export class AssetIdentifierEntity {
  @PrimaryColumn('uuid', { name: 'asset_id' }) assetId!: string;
  @PrimaryColumn('text') kind!: string;
  @PrimaryColumn('text') value!: string;
  @Column('text') source!: string;
  @Column('timestamptz', { name: 'observed_at' }) observedAt!: Date;
}

@Entity('asset_relation')
export class AssetRelationEntity {
  @PrimaryColumn('uuid', { name: 'from_id' }) fromId!: string;
  @PrimaryColumn('text') kind!: string;
  @PrimaryColumn('uuid', { name: 'to_id' }) toId!: string;
  @Column('text') source!: string;
}

@Entity('endpoint')
export class EndpointEntity {
  @PrimaryColumn('uuid', { name: 'asset_id' }) assetId!: string;
  @PrimaryColumn('text') transport!: 'ssh';
  @Column('text') address!: string;
  @Column('integer') port!: number;
  @Column('text', { nullable: true }) username!: string | null;
  /** Name of a credential in the asset's space. */
  @Column('text', { nullable: true }) credential!: string | null;
  /** Pinned keys in OpenSSH's form `type base64`; empty until enrolment. */
  @Column('text', { name: 'host_keys', array: true }) hostKeys!: string[];
  /** Name of an asset in the same space. */
  @Column('text', { nullable: true }) jump!: string | null;
  @Column('text') source!: string;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt!: Date;
}

@Entity('credential')
export class CredentialEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') space!: string;
  @Column('text') name!: string;
  @Column('text') kind!: 'ssh-private-key' | 'password' | 'token';
  @Column('text', { nullable: true }) username!: string | null;
  @Column('bytea') sealed!: Buffer;
  @Column('text', { name: 'key_id' }) keyId!: string;
  @Column('integer') version!: number;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt!: Date;
}
