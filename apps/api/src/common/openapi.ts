import { applyDecorators, type INestApplication } from '@nestjs/common';
import { problemSchema } from '@fettle/contracts';
import { ApiBearerAuth, ApiResponse, ApiTags, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { z } from 'zod';

/** Groups a controller's routes in the API document. */
export function Resource(name: string): ClassDecorator {
  return applyDecorators(ApiTags(name), ApiBearerAuth());
}

/** What a route answers when all is well; every route may answer with a problem document besides. */
export function Answers(status: number, schema?: z.ZodType, description = ''): MethodDecorator {
  const answer = schema === undefined ? { status, description } : { status, description, standardSchema: schema };
  return applyDecorators(
    ApiResponse(answer),
    ApiResponse({ status: 'default', description: 'A problem document (RFC 9457)', standardSchema: problemSchema }),
  );
}

/** The OpenAPI document at `/api/v1/openapi.json` and its page at `/api/docs`, whose scripts come from this server alone. */
export function serveOpenApi(app: INestApplication): void {
  const builder = new DocumentBuilder()
    .setTitle('Fettle control API')
    .setDescription('Errors are problem documents (RFC 9457). Lists are keyset pages: pass `next` as `after`.')
    .setVersion('v1')
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'fettle_<id>_<secret>' })
    .build();
  const document = SwaggerModule.createDocument(app, builder, {
    standardSchemaConverter: (schema, { schemaType }) =>
      schema instanceof z.ZodType ? { schema: jsonSchemaOf(schema, schemaType) } : undefined,
  });
  SwaggerModule.setup('api/docs', app, document, {
    jsonDocumentUrl: 'api/v1/openapi.json',
    yamlDocumentUrl: 'api/v1/openapi.yaml',
    customSiteTitle: 'Fettle control API',
  });
}

function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io,
    unrepresentable: 'any',
    reused: 'inline',
    cycles: 'throw',
  }) as Record<string, unknown>;
  return rest;
}
