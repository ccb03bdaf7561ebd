import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { DocumentKind } from '@fettle/contracts';

@Entity('document')
export class DocumentEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') space!: string;
  @Column('text') kind!: DocumentKind;
  @Column('text') name!: string;
  @Column('uuid', { name: 'current_version_id', nullable: true }) currentVersionId!: string | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt!: Date;
}

@Entity('document_version')
export class DocumentVersionEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') space!: string;
  /** Null: a one-off runbook made by `exec`. */
  @Column('uuid', { name: 'document_id', nullable: true }) documentId!: string | null;
  @Column('integer') number!: number;
  /** `sha256:<hex>` of the parsed source before defaults. */
  @Column('text') digest!: string;
  @Column('text') kind!: DocumentKind;
  @Column('text') name!: string;
  @Column('text') source!: string;
  /** The whole document with defaults, as the zod schema of its kind gives it. */
  @Column('jsonb') parsed!: unknown;
  @Column('text', { name: 'created_by' }) createdBy!: string;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
}
