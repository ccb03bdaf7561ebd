import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Role } from '@fettle/contracts';

@Entity('principal')
export class PrincipalEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') name!: string;
  @Column('text') kind!: 'person' | 'service';
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'revoked_at', nullable: true }) revokedAt!: Date | null;
}

@Entity('role_binding')
export class RoleBindingEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'principal_id' }) principalId!: string;
  @Column('text') role!: Role;
  @Column('text') space!: string;
  /** Null: all assets of the space. */
  @Column('text', { nullable: true }) selector!: string | null;
}

@Entity('api_token')
export class ApiTokenEntity {
  @PrimaryColumn('text') id!: string;
  @Column('uuid', { name: 'principal_id' }) principalId!: string;
  @Column('text') name!: string;
  @Column('bytea') hash!: Buffer;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'expires_at', nullable: true }) expiresAt!: Date | null;
  @Column('timestamptz', { name: 'last_used_at', nullable: true }) lastUsedAt!: Date | null;
  @Column('timestamptz', { name: 'revoked_at', nullable: true }) revokedAt!: Date | null;
}
